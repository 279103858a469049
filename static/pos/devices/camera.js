// The camera: ten frames a second, 640 pixels wide, read by a worker. A card shown to it is one scan.

const WIDTH = 640
const EVERY = 100
const GONE = 2_000 // a card that frames have not shown for so long may be scanned again

/**
 * @typedef {'off' | 'starting' | 'on' | 'refused' | 'none' | 'broken'} CameraState
 *   refused  not allowed    none  there is no camera    broken  the reader of codes did not load
 */

export class Camera extends EventTarget {
  /** @type {CameraState} */
  state = 'off'
  /** The picture of the camera, for any screen to show. */
  video = document.createElement('video')
  /** @type {(text: string) => void} called once for each card shown to it */
  heard = () => undefined
  #canvas = document.createElement('canvas')
  /** @type {MediaStream | null} */
  #stream = null
  /** @type {Worker | null} */
  #worker = null
  #busy = false
  /** the card before it, '' when there is none */
  #shown = ''
  /** @type {number | null} when the first frame came that does not show it */
  #missed = null
  #lit = false
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer
  /** counts starts and stops: a start that was overtaken gives its camera back */
  #turns = 0

  /** @param {{worker: string, reader: string, wasm: string}} urls */
  constructor(urls) {
    super()
    this.urls = urls
    this.video.muted = true
    this.video.playsInline = true
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.#revive())
  }

  /** Start, or go on. Without a camera the other two ways of scanning remain. */
  async start() {
    if (this.state === 'on' || this.state === 'starting') return
    if (!navigator.mediaDevices) return this.#turn('none')
    this.#turn('starting')
    const mine = ++this.#turns
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: { ideal: 'environment' }, width: { ideal: 1280 }, height: { ideal: 720 } },
      })
      if (mine !== this.#turns) return free(stream)
      this.#stream = stream
    } catch (error) {
      if (mine === this.#turns) this.#turn(error instanceof DOMException && error.name === 'NotFoundError' ? 'none' : 'refused')
      return
    }
    for (const track of this.#stream.getVideoTracks()) track.onended = () => this.stop('none')
    this.video.srcObject = this.#stream
    await this.video.play().catch(() => undefined)
    if (mine !== this.#turns) return
    this.#work()
    this.#timer = setInterval(() => this.#look(), EVERY)
    this.#turn('on')
  }

  /** @param {CameraState} [state]  the new state: off, or why it failed */
  stop(state = 'off') {
    this.#turns += 1
    clearInterval(this.#timer)
    if (this.#stream) free(this.#stream)
    this.#stream = null
    this.video.srcObject = null
    this.#lit = false
    this.#shown = ''
    this.#turn(state)
  }

  /** The reader did not load, or broke: the next start tries a new one. */
  #break() {
    this.#worker?.terminate()
    this.#worker = null
    this.#busy = false
    this.stop('broken')
  }

  /** Whether this camera has a lamp. */
  get lamp() {
    const track = this.#stream?.getVideoTracks()[0]
    return Boolean(track && 'torch' in (track.getCapabilities?.() ?? {}))
  }

  /** Turn the lamp on or off; answers whether it is lit. */
  async toggleLamp() {
    const track = this.#stream?.getVideoTracks()[0]
    const lit = !this.#lit
    const wish = /** @type {MediaTrackConstraints} */ (/** @type {unknown} */ ({ advanced: [{ torch: lit }] }))
    await track?.applyConstraints(wish)
    this.#lit = lit
    return lit
  }

  #work() {
    if (this.#worker) return
    this.#worker = new Worker(this.urls.worker, { type: 'module' })
    this.#worker.onmessage = ({ data }) => (data.failed ? this.#break() : this.#seen(data.text))
    this.#worker.onerror = () => this.#break()
    this.#worker.postMessage({ reader: this.urls.reader, wasm: this.urls.wasm })
  }

  #look() {
    const { videoWidth, videoHeight } = this.video
    if (this.#busy || !videoWidth || document.visibilityState !== 'visible') return
    const height = Math.round((videoHeight * WIDTH) / videoWidth)
    this.#canvas.width = WIDTH
    this.#canvas.height = height
    const context = this.#canvas.getContext('2d', { willReadFrequently: true })
    if (!context) return
    context.drawImage(this.video, 0, 0, WIDTH, height)
    const frame = context.getImageData(0, 0, WIDTH, height)
    this.#busy = true
    this.#worker?.postMessage({ frame }, [frame.data.buffer])
  }

  /**
   * A slow tablet may read a frame in seconds: only frames without a card show that it is gone.
   * @param {string} text  '' when the frame shows no code
   */
  #seen(text) {
    this.#busy = false
    if (text === '') return this.#missing(performance.now())
    this.#missed = null
    if (text === this.#shown) return
    this.#shown = text
    this.heard(text)
  }

  /** @param {number} now */
  #missing(now) {
    this.#missed ??= now
    if (now - this.#missed >= GONE) this.#shown = ''
  }

  #revive() {
    if (this.state === 'on' && this.#stream?.getVideoTracks().some((track) => track.readyState === 'ended')) {
      this.stop()
      this.start()
    }
  }

  /** @param {CameraState} state */
  #turn(state) {
    this.state = state
    this.dispatchEvent(new Event('turned'))
  }
}

/** @param {MediaStream} stream */
function free(stream) {
  for (const track of stream.getTracks()) track.stop()
}
