// Questions over the screen. Each resolves with the answer, or null when the cashier went back.

import { acts, clone, fill, slot } from './dom.js'
import { digitsPad, idPad, moneyPad, numberPad, pinPad } from './pad.js'

/**
 * @typedef {{title: string, hint?: string}} Words
 */

/**
 * Ask for one of several large buttons.
 * @template T
 * @param {Words} words
 * @param {{label: string, value: T}[]} choices
 * @returns {Promise<T | null>}
 */
export function choose(words, choices) {
  return opened('dialog-ask', words, (dialog, answer) => {
    const buttons = choices.map(({ label, value }) => {
      const button = /** @type {HTMLButtonElement} */ (clone('part-choice'))
      button.textContent = label
      button.addEventListener('click', () => answer(value))
      return button
    })
    slot(dialog, 'choices').replaceChildren(...buttons)
  })
}

/** @returns {Promise<string | null>}  8 digits */
export function askNumber() {
  const words = { title: '输入卡上的 8 位号码', hint: '号码印在卡面二维码下方。' }
  return opened('dialog-pad', words, (dialog, answer) => slot(dialog, 'pad').append(numberPad(answer).element))
}

/**
 * @param {Words} words
 * @returns {Promise<string | null>}
 */
export function askPin(words) {
  return opened('dialog-pad', words, (dialog, answer) => slot(dialog, 'pad').append(pinPad(answer).element))
}

/**
 * Ask for an amount of at least `least` fen.
 * @param {Words} words
 * @param {(typed: string) => boolean} ready
 * @param {string} enter
 * @returns {Promise<string | null>}
 */
export function askMoney(words, ready, enter) {
  return opened('dialog-pad', words, (dialog, answer) =>
    slot(dialog, 'pad').append(moneyPad({ enter, ready, entered: answer }).element),
  )
}

/**
 * Ask for the last digits of a transfer.
 * @returns {Promise<string | null>}
 */
export function askReference() {
  return opened('dialog-pad', { title: '流水号后几位', hint: '可以不填。' }, (dialog, answer) =>
    slot(dialog, 'pad').append(digitsPad(answer).element),
  )
}

/**
 * Ask for the 18 characters of an ID number.
 * @param {Words} words
 * @param {string} enter
 * @returns {Promise<string | null>}
 */
export function askIdNumber(words, enter) {
  return opened('dialog-pad', words, (dialog, answer) => slot(dialog, 'pad').append(idPad(enter, answer).element))
}

/** Close the open question; return whether there was one. */
export function closeDialogs() {
  const open = [...document.querySelectorAll('dialog[open]')]
  for (const dialog of open) /** @type {HTMLDialogElement} */ (dialog).close()
  return open.length > 0
}

/**
 * @template T
 * @param {string} template
 * @param {Words} words
 * @param {(dialog: HTMLDialogElement, answer: (value: T) => void) => void} build
 * @returns {Promise<T | null>}
 */
function opened(template, { title, hint = '' }, build) {
  return new Promise((resolve) => {
    const dialog = /** @type {HTMLDialogElement} */ (clone(template))
    /** @type {T | null} */
    let value = null
    build(dialog, (answer) => {
      value = answer
      dialog.close()
    })
    fill(dialog, { title, hint })
    acts(dialog, { close: () => dialog.close() })
    dialog.addEventListener('close', () => {
      dialog.remove()
      resolve(value)
    })
    document.body.append(dialog)
    dialog.showModal()
  })
}
