// A keypad for digits: PIN, printed number, amount. Hardware keys belong to the scanner.

import { press as pressMoney } from '../model/money.js'
import { clone, slot } from './dom.js'

const PIN = 6
const ID = 18

/**
 * @typedef {{enter: string, shown: (typed: string) => string, ready: (typed: string) => boolean,
 *   entered: (typed: string) => unknown, press?: (typed: string, key: string) => string,
 *   changed?: (typed: string) => void}} PadKind
 */

/**
 * @param {PadKind} kind
 * @returns {{element: HTMLElement, clear: () => void}}
 */
export function pad(kind) {
  const element = clone('part-pad')
  const enter = /** @type {HTMLButtonElement} */ (slot(element, 'enter'))
  let typed = ''

  const turn = (/** @type {string} */ next) => {
    typed = next
    const shown = kind.shown(typed)
    slot(element, 'shown').textContent = shown
    slot(element, 'shown').toggleAttribute('data-long', shown.length > 10)
    enter.disabled = !kind.ready(typed)
    kind.changed?.(typed)
  }
  const press = kind.press ?? pressDigit

  slot(element, 'keys').addEventListener('click', (event) => {
    const key = event.target instanceof HTMLElement ? event.target.dataset.key : undefined
    if (key) turn(press(typed, key))
  })
  enter.textContent = kind.enter
  enter.addEventListener('click', () => kind.entered(typed))
  turn('')
  return { element, clear: () => turn('') }
}

/**
 * Make a pad with a decimal point in place of the clear key.
 * @param {Omit<PadKind, 'press' | 'shown'>} kind
 */
export function moneyPad(kind) {
  const made = pad({ ...kind, press: pressMoney, shown: (typed) => `${typed || '0'} 元` })
  return swapped(made, '.')
}

/**
 * Make the same pad with another key in place of the clear key.
 * @template {{element: HTMLElement}} T
 * @param {T} made
 * @param {string} key
 */
function swapped(made, key) {
  const place = made.element.querySelector('[data-key="clear"]')
  if (place instanceof HTMLElement) {
    place.dataset.key = key
    place.textContent = key
    place.classList.remove('pad__quiet')
  }
  return made
}

/**
 * Make a pad for the 8-digit number printed on a card.
 * @param {(digits: string) => unknown} entered
 */
export const numberPad = (entered) => exactPad(8, '查卡', entered)

/**
 * Make a pad for the 12-digit code that enrols a tablet.
 * @param {(digits: string) => unknown} entered
 */
export const codePad = (entered) => exactPad(12, '启用', entered)

/**
 * Make a pad for an ID number: 17 digits and a digit or X, in place of the clear key.
 * @param {string} enter
 * @param {(number: string) => unknown} entered
 */
export function idPad(enter, entered) {
  const made = pad({
    enter,
    shown: (typed) => typed.replace(/^(.{6})(.{1,8})?/, (_, area, born) => (born ? `${area} ${born} ` : area)) || '_',
    ready: (typed) => typed.length === ID,
    press: (typed, key) => (key === 'X' ? (typed.length === ID - 1 ? `${typed}X` : typed) : pressDigit(typed, key, ID)),
    entered,
  })
  return swapped(made, 'X')
}

/**
 * Make a pad that does not show the digits.
 * @param {(pin: string) => unknown} entered
 */
export function pinPad(entered) {
  return pad({
    enter: '确定',
    shown: (typed) => '●'.repeat(typed.length) + '○'.repeat(PIN - typed.length),
    ready: (typed) => typed.length === PIN,
    press: (typed, key) => pressDigit(typed, key, PIN),
    entered,
  })
}

/**
 * Make a pad for a few digits of any meaning.
 * @param {(digits: string) => unknown} entered
 */
export function digitsPad(entered) {
  return pad({ enter: '确定', shown: (typed) => typed, ready: (typed) => typed.length > 0, entered })
}

/**
 * @param {number} length  so many digits, in groups of four
 * @param {string} enter
 * @param {(digits: string) => unknown} entered
 */
function exactPad(length, enter, entered) {
  return pad({
    enter,
    shown: (typed) => typed.padEnd(length, '_').replace(/.{4}(?=.)/g, '$& '),
    ready: (typed) => typed.length === length,
    press: (typed, key) => pressDigit(typed, key, length),
    entered,
  })
}

/**
 * @param {string} typed
 * @param {string} key
 * @param {number} [most]
 */
function pressDigit(typed, key, most = 12) {
  if (key === 'clear') return ''
  if (key === 'back') return typed.slice(0, -1)
  return typed.length < most ? typed + key : typed
}
