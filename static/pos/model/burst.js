// Distinguish a keyboard scanner from a person: a scanner types a whole code with a few milliseconds
// between keys. Pure: it receives keys and times, and returns what to do with each.

const FAST = 40 // ms between two keys of a scanner, at most
const SURE = 4 // so many fast keys in a row are not a person's
const WHOLE = 6 // shorter runs are not a code

const TAIL = 300 // ms after a code in which Enter or Tab is still the scanner's: some send two

/**
 * @typedef {{text: string, last: number, run: number, ended?: boolean}} Burst
 *   ended    a code ended at `last`
 * @typedef {{burst: Burst, swallow: boolean, undo: boolean, scan: string | null}} Step
 *   swallow  the key belongs to the scanner: it must not reach a field or button
 *   undo     the scanner is now recognised: take back what its first keys typed
 *   scan     the whole code, when it has ended
 */

/** @type {Burst} */
export const QUIET = { text: '', last: -Infinity, run: 0 }

/** After so many ms without a key a burst has ended, for scanners that send no Enter. */
export const SILENCE = 80

/**
 * Handle one key press.
 * @param {Burst} burst
 * @param {string} key  a character, 'Enter' or 'Tab'; anything else is ignored
 * @param {number} at  ms
 * @returns {Step}
 */
export function press(burst, key, at) {
  const fast = at - burst.last <= FAST
  if (key === 'Enter' || key === 'Tab') {
    if (burst.ended && at - burst.last <= TAIL) return { burst, swallow: true, undo: false, scan: null }
    const whole = at - burst.last <= SILENCE && burst.run >= SURE
    return { burst: whole ? ended(at) : QUIET, swallow: whole, undo: false, scan: whole ? code(burst) : null }
  }
  if ([...key].length !== 1) return { burst, swallow: false, undo: false, scan: null }
  const run = fast ? burst.run + 1 : 1
  const next = { text: fast ? burst.text + key : key, last: at, run }
  return { burst: next, swallow: run >= SURE, undo: run === SURE, scan: null }
}

/**
 * Handle a silence: nothing was pressed for SILENCE.
 * @param {Burst} burst
 * @returns {string | null}
 */
export function rest(burst) {
  return burst.run >= SURE ? code(burst) : null
}

/**
 * End a code.
 * @param {number} at
 * @returns {Burst}
 */
export const ended = (at) => ({ ...QUIET, last: at, ended: true })

/** @param {Burst} burst */
const code = ({ text }) => (text.length >= WHOLE ? text : null)
