import assert from 'node:assert/strict'
import { test } from 'node:test'

import { day, hour, measure, offset, stamp } from '../../static/pos/model/clock.js'

const NOON = Date.parse('2026-11-22T12:00:00+08:00')

test('times are in Asia/Shanghai wherever the tablet thinks it is', () => {
  assert.equal(stamp(Date.parse('2026-11-22T03:40:03.123Z')), '2026-11-22T11:40:03.123+08:00')
  assert.equal(day(Date.parse('2026-11-22T16:00:00Z')), '2026-11-23')
  assert.equal(hour(Date.parse('2026-11-22T15:59:59.999Z')), '23:59')
})

test('what is written reads back to the same instant', () => {
  for (const ms of [0, NOON, NOON + 1, 1_700_000_000_123]) assert.equal(Date.parse(stamp(ms)), ms)
})

test('the offset is what must be added to the tablet clock', () => {
  const behind = measure(stamp(NOON), 1000, 1200, NOON - 600_000 + 100)
  assert.equal(offset(behind, NOON - 600_000 + 5000, 1100 + 5000), 600_000)
})

test('the server time is taken for the middle of the exchange', () => {
  const measured = measure(stamp(NOON), 0, 400, NOON + 200)
  assert.equal(offset(measured, NOON + 200, 400), 0)
})

test('a clock set back after the measure brings back no yesterday', () => {
  const measured = measure(stamp(NOON), 0, 0, NOON)
  const back = NOON - 86_400_000
  assert.equal(back + offset(measured, back, 60_000), NOON + 60_000)
})

test('after a sleep of the monotonic clock the own clock counts', () => {
  const measured = measure(stamp(NOON), 0, 0, NOON)
  assert.equal(offset(measured, NOON + 3_600_000, 1000), 0)
})

test('before any measure nothing is claimed', () => {
  assert.equal(offset(null, NOON, 5), null)
  assert.equal(measure('gibberish', 0, 1, NOON), null)
})
