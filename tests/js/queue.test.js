import assert from 'node:assert/strict'
import { test } from 'node:test'

import { answered, batches } from '../../static/pos/model/queue.js'

const numbers = (batches) => batches.map((rows) => rows.map(({ number }) => number))

test('only an answer that says so takes a record from the waiting', () => {
  const row = { ...sold(1, 's1'), state: 'waiting', settled: null }
  const state = (outcome) => answered(row, { id: '1/1', outcome }, 9).state
  assert.deepEqual(['created', 'have', 'kept', 'quarantined'].map(state), ['settled', 'settled', 'settled', 'quarantined'])
  assert.deepEqual(['refused', 'later', 'an outcome of next year'].map(state), ['waiting', 'waiting', 'waiting'])
})

test('an unread record waits on, with its words, and goes alone', () => {
  const row = answered(sold(1, 's1'), { id: '1/1', outcome: 'refused', message: '记录无法识别' }, 9)
  assert.deepEqual([row.tries, row.message, row.settled], [1, '记录无法识别', null])
  assert.match(answered(sold(1, 's1'), { id: '1/1', outcome: 'odd' }, 9).message, /服务器没有接收/)
  assert.deepEqual(numbers(batches([row, sold(2, 's2'), sold(3, 's3')])), [[2, 3], [1]])
})

test('a void goes with its sale, and waits for an unread one', () => {
  assert.deepEqual(numbers(batches([sold(1, 's1'), undone(2, 's1'), sold(3, 's3')])), [[1, 2, 3]])
  const tried = { ...sold(1, 's1'), tries: 1 }
  assert.deepEqual(numbers(batches([tried, undone(2, 's1'), sold(3, 's3')])), [[3], [1]])
  assert.deepEqual(numbers(batches([undone(2, 's1'), sold(3, 's3')])), [[2, 3]])
})

test('twenty go together', () => {
  const rows = Array.from({ length: 45 }, (_, n) => sold(n + 1, `s${n}`))
  assert.deepEqual(batches(rows).map((batch) => batch.length), [20, 20, 5])
})

function sold(number, id) {
  return rowOf(number, 'checkout', { sales: [{ id }] })
}

function undone(number, sale) {
  return rowOf(number, 'void', { sale })
}

function rowOf(number, kind, body) {
  return { number, tries: 0, settled: null, message: '', state: 'waiting', envelope: { kind, body: JSON.stringify(body) } }
}
