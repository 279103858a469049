// Three sounds that can be distinguished in a noisy hall without looking: done, refused, already served.

/** @typedef {'done' | 'refused' | 'already' | 'scanned'} Sound */

/** @type {Record<Sound, {wave: OscillatorType, notes: [hertz: number, at: number, long: number][]}>} */
const SCORES = {
  scanned: { wave: 'sine', notes: [[1320, 0, 0.07]] },
  done: { wave: 'sine', notes: [[784, 0, 0.12], [1047, 0.12, 0.12], [1319, 0.24, 0.26]] },
  already: { wave: 'triangle', notes: [[660, 0, 0.14], [660, 0.22, 0.14], [660, 0.44, 0.14]] },
  refused: { wave: 'square', notes: [[220, 0, 0.22], [165, 0.24, 0.4]] },
}

const VIBRATIONS = { scanned: [30], done: [80], already: [80, 80, 80, 80, 80], refused: [300] }

/** @type {AudioContext | null} */
let context = null

/** Allow sounds: browsers play none before a first touch, so call this on one. */
export function wakeSounds() {
  context ??= new AudioContext()
  if (context.state === 'suspended') void context.resume()
}

/** @param {Sound} name */
export function play(name) {
  navigator.vibrate?.(VIBRATIONS[name])
  document.documentElement.dataset.sound = name
  if (!context || context.state !== 'running') return
  const { wave, notes } = SCORES[name]
  for (const [hertz, at, long] of notes) tone(context, wave, hertz, context.currentTime + at, long)
}

/**
 * @param {AudioContext} audio
 * @param {OscillatorType} wave
 * @param {number} hertz
 * @param {number} start
 * @param {number} long  seconds
 */
function tone(audio, wave, hertz, start, long) {
  const voice = new OscillatorNode(audio, { type: wave, frequency: hertz })
  const loudness = new GainNode(audio, { gain: 0 })
  loudness.gain.setValueAtTime(0, start)
  loudness.gain.linearRampToValueAtTime(wave === 'square' ? 0.25 : 0.6, start + 0.01)
  loudness.gain.exponentialRampToValueAtTime(0.001, start + long)
  voice.connect(loudness).connect(audio.destination)
  voice.start(start)
  voice.stop(start + long)
}
