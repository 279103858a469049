// A keyboard scanner anywhere on the page. Its keys are caught even when a field has the focus
// or a Chinese input method is on; characters typed before it was recognised are removed.

import { ended, press, QUIET, rest, SILENCE } from '../model/burst.js'

const LATE = 20 // ms; a timer so late says that the page was busy, and that keys may wait behind it

/** @typedef {{field: HTMLInputElement, value: string} | null} Before */

/**
 * @param {(scan: string) => void} heard
 */
export function listen(heard) {
  let burst = QUIET
  /** @type {Before} */
  let before = null
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer

  const end = () => {
    const scan = rest(burst)
    burst = scan ? ended(performance.now()) : QUIET
    if (scan) heard(scan)
  }

  const wait = () => {
    const due = performance.now() + SILENCE
    timer = setTimeout(() => (performance.now() > due + LATE ? wait() : end()), SILENCE)
  }

  document.addEventListener(
    'keydown',
    (event) => {
      if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return // a key held down is no scanner
      const step = press(burst, keyOf(event), event.timeStamp)
      if (step.burst.run === 1) before = fieldNow()
      burst = step.burst
      if (step.undo && before) takeBack(before)
      if (step.swallow) {
        event.preventDefault()
        event.stopPropagation()
      }
      clearTimeout(timer)
      if (step.scan) heard(step.scan)
      else if (burst.run > 0) wait()
    },
    { capture: true },
  )
}

/**
 * Return the character of a key. Under an input method `key` is 'Process', yet the digit keys keep their place.
 * @param {KeyboardEvent} event
 */
function keyOf({ key, code }) {
  if ([...key].length === 1 || key === 'Enter' || key === 'Tab') return key
  return /^(?:Digit|Numpad)([0-9])$/.exec(code)?.[1] ?? ''
}

/** @param {NonNullable<Before>} before */
function takeBack({ field, value }) {
  field.value = value
  field.dispatchEvent(new Event('input', { bubbles: true }))
}

/** @returns {Before} */
function fieldNow() {
  const field = document.activeElement
  return field instanceof HTMLInputElement ? { field, value: field.value } : null
}
