import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ended, press, QUIET, rest } from '../../static/pos/model/burst.js'

/** Press keys `every` ms apart; answers each step. */
function type(keys, every) {
  let burst = QUIET
  return keys.map((key, n) => {
    const step = press(burst, key, n * every)
    burst = step.burst
    return step
  })
}

const code = [...'12345678901234567890123456']

test("a scanner's Enter gives its code and reaches no button", () => {
  const last = type([...code, 'Enter'], 8).at(-1)
  assert.equal(last.scan, code.join(''))
  assert.equal(last.swallow, true)
})

test('a scanner may end with Tab, or with silence', () => {
  assert.equal(type([...code, 'Tab'], 8).at(-1).scan, code.join(''))
  assert.equal(rest(type(code, 8).at(-1).burst), code.join(''))
})

test('keys are swallowed from the fourth on, those before removed', () => {
  const steps = type(code, 10)
  assert.deepEqual(steps.slice(0, 5).map(({ swallow }) => swallow), [false, false, false, true, true])
  assert.equal(steps.filter(({ undo }) => undo).length, 1)
})

test('a person typing quickly is no scanner', () => {
  const steps = type([...code, 'Enter'], 90)
  assert.ok(steps.every(({ swallow, scan }) => !swallow && scan === null))
  assert.equal(rest(steps.at(-2).burst), null)
})

test('a scanner that waits before its Enter still gives its code', () => {
  let { burst } = type(code, 8).at(-1)
  const step = press(burst, 'Enter', burst.last + 60)
  assert.equal(step.scan, code.join(''))
})

test('an Enter just after the code reaches no button, a later does', () => {
  const { burst } = type([...code, 'Enter'], 8).at(-1)
  const again = press(burst, 'Enter', burst.last + 20)
  assert.deepEqual([again.swallow, again.scan], [true, null])
  assert.equal(press(again.burst, 'Tab', burst.last + 301).swallow, false)
  assert.equal(press(ended(1000), 'Enter', 1200).swallow, true, 'where silence ended the code')
  assert.equal(type([...code, 'Enter', ...code, 'Enter'], 8).at(-1).scan, code.join(''), 'the next code is whole')
})

test('a slow key before the burst does not become part of the code', () => {
  let { burst } = press(QUIET, '9', 0)
  for (const [n, key] of code.entries()) burst = press(burst, key, 500 + n * 5).burst
  assert.equal(rest(burst), code.join(''))
})

test('a few fast keys are no code', () => {
  assert.equal(type([...'1234', 'Enter'], 5).at(-1).scan, null)
})

test('shift and other keys without a character break no burst', () => {
  const keys = code.flatMap((key) => ['Shift', key])
  assert.equal(rest(type(keys, 5).at(-1).burst), code.join(''))
})
