// Cash: what people are likely to hand over, and the change.

const NOTES = [100, 500, 1000, 2000, 5000, 10000]

/**
 * Return amounts that an elder may hand over for `due`, the exact sum first, then the next round sums.
 * @param {number} due  fen
 * @param {number} [most]  how many at most
 * @returns {number[]}
 */
export function suggest(due, most = 4) {
  if (due <= 0) return []
  const rounded = NOTES.map((note) => Math.ceil(due / note) * note)
  return [...new Set([due, ...rounded])].sort((a, b) => a - b).slice(0, most)
}

/**
 * Make a cash tender; null when the amount given does not cover what is due.
 * @param {number} due
 * @param {number} given
 */
export function cash(due, given) {
  if (!Number.isInteger(given) || given < due) return null
  return { kind: /** @type {const} */ ('cash'), fen: due, given, change: given - due, reference: '' }
}

/**
 * Make a tender for money that arrived on a phone.
 * @param {number} due
 * @param {string} [reference]  the last digits of the transfer, if the cashier noted them
 */
export function mobile(due, reference = '') {
  return { kind: /** @type {const} */ ('mobile'), fen: due, given: due, change: 0, reference }
}

/** Make a tender where nothing is to be paid. */
export function free() {
  return { kind: /** @type {const} */ ('free'), fen: 0, given: 0, change: 0, reference: '' }
}
