// Money is whole fen. Nothing here rounds; a split always adds up to the whole.

/**
 * Turn 1250 into '12.50', the way every screen writes an amount of yuan.
 * @param {number} fen  an integer
 */
export function show(fen) {
  const sign = fen < 0 ? '-' : ''
  const whole = Math.abs(fen)
  return `${sign}${Math.floor(whole / 100)}.${String(whole % 100).padStart(2, '0')}`
}

/**
 * Share out `fen` (>= 0) by weights, largest remainder first, ties to the earlier one; sums to `fen`.
 * @param {number} fen
 * @param {readonly number[]} weights  whole, 0 or more, not all zero
 * @returns {number[]}
 */
export function split(fen, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  if (fen < 0 || total <= 0 || weights.some((weight) => weight < 0)) {
    throw new RangeError('a split needs fen >= 0 and weights that are not all zero')
  }
  const parts = weights.map((weight) => Math.floor((fen * weight) / total))
  const missing = fen - parts.reduce((sum, part) => sum + part, 0)
  const byRemainder = [...weights.keys()].sort((a, b) => ((fen * weights[b]) % total) - ((fen * weights[a]) % total))
  for (const place of byRemainder.slice(0, missing)) parts[place] += 1
  return parts
}

/**
 * Turn 1000 into '10' and 1250 into '12.5': a note or a coin as people say it.
 * @param {number} fen
 */
export function brief(fen) {
  return fen % 100 === 0 ? String(fen / 100) : show(fen).replace(/0$/, '')
}

/**
 * Read a keypad's text ('', '7', '7.', '7.5') as fen; null when it is no amount.
 * @param {string} typed
 * @returns {number | null}
 */
export function read(typed) {
  const found = /^(\d{1,6})(?:\.(\d{0,2}))?$/.exec(typed)
  if (!found) return null
  return Number(found[1]) * 100 + Number((found[2] ?? '').padEnd(2, '0'))
}

/**
 * Return a keypad's text after one more key: at most four digits of yuan and two of fen.
 * @param {string} typed
 * @param {string} key  '0'–'9', '.', 'back' or 'clear'
 */
export function press(typed, key) {
  if (key === 'clear') return ''
  if (key === 'back') return typed.slice(0, -1)
  const next = typed === '0' && key !== '.' ? key : typed === '' && key === '.' ? '0.' : typed + key
  return /^\d{1,4}(\.\d{0,2})?$/.test(next) ? next : typed
}
