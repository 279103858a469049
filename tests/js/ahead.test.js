import assert from 'node:assert/strict'
import { test } from 'node:test'

import { behindWords, claim, lacks, raised } from '../../static/pos/model/ahead.js'
import { stateWords, unsentWords } from '../../static/pos/model/rows.js'

const NONE = { tablet: 't1', epochs: {} }
const BEHIND = [{ epoch: 1, first: 36, last: 38 }]

test('the highest acknowledged number of an epoch never falls', () => {
  const marks = raised(NONE, [row(2, 7), row(1, 38), row(1, 36), row(2, 8, 'quarantined')])
  assert.deepEqual(marks, { tablet: 't1', epochs: { 1: 38, 2: 8 } })
  assert.deepEqual(raised(marks, [row(1, 5)]), marks)
  assert.deepEqual(NONE.epochs, {}, 'the marks before are left as they are')
})

test('what waits or a former tablet numbered is not acknowledged', () => {
  assert.deepEqual(raised(NONE, [row(1, 9, 'waiting'), { ...row(1, 9), tablet: 't0' }]), NONE)
})

test('a contact reports incarnation and numbers, newest first', () => {
  assert.equal(claim('abc', NONE), 'incarnation=abc&acknowledged=')
  assert.equal(claim('a&b', { tablet: 't1', epochs: { 1: 38, 2: 8, 10: 1 } }), 'incarnation=a%26b&acknowledged=10/1,2/8,1/38')
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [n + 1, 5]))
  assert.match(claim('a', { tablet: 't1', epochs: many }), /=20\/5(,\d+\/5){7}$/)
})

test('the server lacks what it acknowledged, not what waits', () => {
  assert.deepEqual([35, 36, 38, 39].map((number) => lacks(BEHIND, row(1, number))), [false, true, true, false])
  assert.equal(lacks(BEHIND, row(2, 37)), false)
  assert.equal(lacks(BEHIND, row(1, 37, 'waiting')), false)
})

test('nothing says all is uploaded while the server lacks some', () => {
  assert.deepEqual([unsentWords(0, null), unsentWords(0, 3), unsentWords(0, 0), unsentWords(2, 3)],
    ['全部已上传', '服务器缺 3 笔，待补传', '服务器数据较旧，待修复', '2 笔待上传'])
  assert.equal(stateWords(row(1, 37), BEHIND), '服务器缺这一笔，待补传')
  assert.equal(stateWords(row(1, 39), BEHIND), '已上传')
  for (const owed of [0, 3]) assert.match(behindWords(owed), /服务器的数据比本机旧.*请告诉管理员.*都保留着/)
})

function row(epoch, number, state = 'settled') {
  return { tablet: 't1', epoch, number, state, tries: 0, message: '' }
}
