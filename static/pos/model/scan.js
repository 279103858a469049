// Read scans: camera, keyboard scanner and typed entry share this one reader.
// A card is 26 digits: 24 random and 2 check digits (ISO 7064 MOD 97-10). The number
// printed for people is 8 digits.

/**
 * @typedef {{kind: 'card', digits: string}
 *   | {kind: 'number', digits: string}
 *   | {kind: 'malformed', message: string}
 *   | {kind: 'foreign', message: string}
 *   | {kind: 'empty'}} Scan
 */

const CARD = 26
const NUMBER = 8

export const MALFORMED = '卡码没有读全，请再扫一次，或输入卡上的 8 位号码。'
/** What the card is called where the server has said nothing else. */
export const CARD_NAME = '助餐卡'
/** @param {string} card  what the card is called here */
export const foreign = (card) => `这不是${card}的二维码，请出示${card}。`

/**
 * Read what a camera, a keyboard scanner or a person gave.
 * @param {string} raw
 * @param {string} [card]  what the card is called here
 * @returns {Scan}
 */
export function read(raw, card = CARD_NAME) {
  const text = fold(raw)
  if (text === '') return { kind: 'empty' }
  if (!/^[0-9]+$/.test(text)) return { kind: 'foreign', message: foreign(card) }
  if (text.length === NUMBER) return { kind: 'number', digits: text }
  if (text.length !== CARD || mod97(text) !== 1) return { kind: 'malformed', message: MALFORMED }
  return { kind: 'card', digits: text }
}

/**
 * Return half-width text without blanks. Chinese input methods turn a scanner's digits full-width and
 * leave blanks, quotes and zero-width marks between them.
 * @param {string} raw
 */
export function fold(raw) {
  return raw.normalize('NFKC').replace(/[\s'’\-_\u00ad\u200b-\u200f\u2060\ufeff\p{Cc}]/gu, '')
}

/**
 * Return the two check digits that make `digits` a card.
 * @param {string} digits  24 digits
 */
export function checkDigits(digits) {
  return String(98 - mod97(`${digits}00`)).padStart(2, '0')
}

/**
 * Compute a number of any length modulo 97; it need not fit an integer.
 * @param {string} digits
 */
export function mod97(digits) {
  let rest = 0
  for (const digit of digits) rest = (rest * 10 + Number(digit)) % 97
  return rest
}
