import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { wait } from '../../static/pos/model/backoff.js'
import { FIRST, beyondLost, hashOf, idOf, seal } from '../../static/pos/model/envelope.js'
import { menuOf, minuteOfDay, periodAt } from '../../static/pos/model/meals.js'
import { checkouts, names, stateWords, unsentWords } from '../../static/pos/model/rows.js'
import { mayAlone, voidBody } from '../../static/pos/model/voids.js'

const NEW = { tablet: 't1', epoch: 1, number: 0, hash: FIRST }
const MOMENT = { at: '2026-11-22T11:40:03.123+08:00', mono: 12345, boot: 'boot-1' }

const lost = (epoch, first, last) => ({ epoch, first, last })

test('a chain that would reuse lost numbers begins the next epoch', () => {
  const chain = { tablet: 't1', epoch: 2, number: 36, hash: 'abc' }
  const anew = (epoch) => ({ tablet: 't1', epoch, number: 0, hash: FIRST })
  assert.deepEqual(beyondLost(chain, [lost(2, 37, 38)]), anew(3))
  assert.deepEqual(beyondLost(chain, [lost(2, 30, 40)]), anew(3), 'set back into the middle of the run')
  assert.deepEqual(beyondLost(chain, [lost(4, 1, 5), lost(2, 50, 50)]), anew(5), 'beyond every epoch that was used')
})

test('a loss behind the chain or in another epoch changes nothing', () => {
  const chain = { tablet: 't1', epoch: 2, number: 36, hash: 'abc' }
  for (const runs of [[], [lost(2, 4, 6)], [lost(2, 36, 36)], [lost(1, 37, 90)], [lost(3, 1, 9)]]) {
    assert.equal(beyondLost(chain, runs), chain)
  }
})

test('records are numbered without gaps, each with the hash before', async () => {
  const first = await seal(NEW, MOMENT, 'checkout', { a: 1 })
  const second = await seal({ ...first }, MOMENT, 'void', { b: 2 })
  assert.deepEqual([first.number, second.number], [1, 2])
  assert.deepEqual([first.prev, second.prev], [FIRST, first.hash])
  assert.deepEqual(['1/1', '1/2'], [first, second].map(idOf))
})

test('any field that is hashed changes the hash', async () => {
  const record = await seal(NEW, MOMENT, 'checkout', { a: 1 })
  const changes = { tablet: 't2', epoch: 2, number: 9, prev: 'f'.repeat(64), at: '', mono: 1, boot: 'x', kind: 'void', body: '{}' }
  for (const [name, value] of Object.entries(changes)) {
    assert.notEqual(await hashOf({ ...record, [name]: value }), record.hash, name)
  }
})

test('the server gives the same hash to the same record', async () => {
  const cases = JSON.parse(readFileSync(new URL('envelopes.json', import.meta.url), 'utf8'))
  assert.ok(cases.length >= 3)
  for (const record of cases) assert.equal(await hashOf(record), record.hash)
})

test('an answer that only others can mend names whom to ask', () => {
  const row = { state: 'waiting', tries: 0, message: '' }
  assert.equal(stateWords(row), '待上传')
  assert.equal(stateWords({ ...row, state: 'settled' }), '已上传')
  assert.match(stateWords({ ...row, state: 'quarantined' }), /人工核对/)
  assert.match(stateWords({ ...row, tries: 3, message: '内容过大' }), /内容过大/)
  assert.deepEqual([unsentWords(0), unsentWords(3)], ['全部已上传', '3 笔待上传'])
})

test('a few are named, of many the first', () => {
  assert.deepEqual([['甲'], ['甲', '乙', '丙'], ['甲', '乙', '丙', '丁']].map(names), ['甲', '甲、乙、丙', '甲等 4 人'])
})

test('a voided sale is shown as such beside its companion', () => {
  const sold = rowOf(1, 'checkout', {
    sales: [{ id: 's1', quote: { due: 700 } }, { id: 's2', quote: { due: 500 } }],
    payment: { due: 1200, tenders: [{ kind: 'cash', change: 800 }] },
    cashier: 'p1',
  })
  const back = rowOf(2, 'void', { sale: 's2' })
  const [shown] = checkouts([sold, back])
  assert.deepEqual(shown.sales.map(({ id, title, voided }) => [id, title, voided]), [['s1', '甲', false], ['s2', '乙', true]])
  assert.deepEqual([shown.due, shown.kind, shown.change, shown.cashier], [1200, 'cash', 800, 'p1'])
})

test('an own sale is voided alone within ten minutes and not after', () => {
  const sale = { cashier: 'p1', made: 1_000_000 }
  assert.equal(mayAlone(sale, 'p1', 1_000_000 + 600_000), true)
  assert.equal(mayAlone(sale, 'p1', 1_000_000 + 600_001), false)
  assert.equal(mayAlone(sale, 'p2', 1_000_001), false)
  assert.equal(mayAlone(sale, 'p1', 999_999), false, 'a clock set back wins nothing')
})

test('a void gives back what was due, nothing where nothing was', () => {
  const what = { id: 'v1', sale: 's1', cashier: 'p1', reason: '点错餐', fen: 700, kind: 'cash' }
  assert.deepEqual(voidBody(what).refund, { kind: 'cash', fen: 700 })
  assert.deepEqual(voidBody({ ...what, fen: 0 }).refund, { kind: 'free', fen: 0 })
  assert.deepEqual([voidBody(what).approved_by, voidBody(what).approval], [null, null])
})

test('the period is the window around the minute, else the nearest', () => {
  const windows = [
    { period: 'lunch', starts: 660, ends: 780, grace: 15 },
    { period: 'dinner', starts: 1020, ends: 1110, grace: 15 },
  ]
  assert.deepEqual([0, 660, 780, 880, 910, 1439].map((minute) => periodAt(windows, minute)), ['lunch', 'lunch', 'lunch', 'lunch', 'dinner', 'dinner'])
  assert.deepEqual([599, 600, 899, 900].map((minute) => periodAt([], minute)), ['breakfast', 'lunch', 'lunch', 'dinner'], 'without windows, by the hour')
  assert.equal(minuteOfDay(Date.parse('2026-11-22T03:40:00Z')), 700)
  assert.equal(minuteOfDay(Date.parse('2026-11-22T16:00:00Z')), 0)
})

test("only meals of the period are offered, in the menu's order", () => {
  const menu = [{ id: 'b', period: 'lunch' }, { id: 'c', period: 'dinner' }, { id: 'a', period: 'lunch' }]
  assert.deepEqual(menuOf(menu, 'lunch').map(({ id }) => id), ['b', 'a'])
  assert.deepEqual(menuOf(menu, 'breakfast'), menu, 'a meal that was eaten can be sold though no menu foresaw it')
})

test('waiting doubles up to a minute and never reaches zero', () => {
  assert.deepEqual([1, 2, 3, 7, 99].map((failures) => wait(failures, 1)), [1000, 2000, 4000, 60_000, 60_000])
  assert.equal(wait(0, 0), 750)
})

function rowOf(number, kind, body) {
  return { tablet: 't1', epoch: 1, number, made: number, state: 'settled', tries: 0, settled: 1, reason: '', message: '',
    titles: ['甲', '乙'], envelope: { kind, body: JSON.stringify(body) } }
}
