import assert from 'node:assert/strict'
import { test } from 'node:test'

import { cash, free, mobile, suggest } from '../../static/pos/model/change.js'
import { brief, press, read, show } from '../../static/pos/model/money.js'

test('amounts are shown with two decimals', () => {
  assert.deepEqual([0, 5, 70, 700, 1250, -5, 123456].map(show), ['0.00', '0.05', '0.70', '7.00', '12.50', '-0.05', '1234.56'])
})

test('notes are named as people say them', () => {
  assert.deepEqual([100, 1000, 1250, 705].map(brief), ['1', '10', '12.5', '7.05'])
})

test('a keypad text is read to the fen, without floats', () => {
  assert.deepEqual(['7', '7.', '7.5', '7.05', '19.99', ''].map(read), [700, 700, 750, 705, 1999, null])
  for (let fen = 0; fen < 100_000; fen += 7) assert.equal(read(show(fen)), fen)
})

test('a keypad takes no third decimal, second point or fifth digit', () => {
  const typed = (keys) => [...keys].reduce(press, '')
  assert.equal(typed('12.345'), '12.34')
  assert.equal(typed('1..5'), '1.5')
  assert.equal(typed('12345'), '1234')
  assert.equal(typed('.5'), '0.5')
  assert.equal(typed('07'), '7')
  assert.equal(press('12.5', 'back'), '12.')
  assert.equal(press('12.5', 'clear'), '')
})

test('the exact sum is offered first, then sums people hand over', () => {
  assert.deepEqual(suggest(700), [700, 1000, 2000, 5000])
  assert.deepEqual(suggest(1250), [1250, 1300, 1500, 2000])
  assert.deepEqual(suggest(2000), [2000, 5000, 10000])
  assert.deepEqual(suggest(10001), [10001, 10100, 10500, 11000])
  assert.deepEqual(suggest(0), [])
})

test('every suggestion covers what is due, none is offered twice', () => {
  for (let due = 1; due < 12_000; due += 13) {
    const sums = suggest(due)
    assert.equal(sums[0], due)
    assert.equal(new Set(sums).size, sums.length)
    assert.ok(sums.every((sum) => sum >= due), String(due))
  }
})

test('change is what was given less what is due', () => {
  assert.deepEqual(cash(700, 1000), { kind: 'cash', fen: 700, given: 1000, change: 300, reference: '' })
  assert.equal(cash(700, 699), null)
  assert.equal(cash(700, 700.5), null)
})

test('a phone payment has no change, a free meal no money', () => {
  assert.deepEqual(mobile(700, '8812'), { kind: 'mobile', fen: 700, given: 700, change: 0, reference: '8812' })
  assert.deepEqual(free(), { kind: 'free', fen: 0, given: 0, change: 0, reference: '' })
})
