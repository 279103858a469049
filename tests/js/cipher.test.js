import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { encrypted } from '../../static/pos/model/cipher.js'
import { FIRST, hashOf, seal } from '../../static/pos/model/envelope.js'
import { checkouts, summaryOf } from '../../static/pos/model/rows.js'

const SERVER = JSON.parse(readFileSync(new URL('encrypted.json', import.meta.url), 'utf8'))
const TO = { id: SERVER.record.key, point: SERVER.point }
const NEW = { tablet: 't1', epoch: 1, number: 0, hash: FIRST }
const MOMENT = { at: '2026-11-22T11:40:03.123+08:00', mono: 12345, boot: 'boot-1' }
const BODY = {
  sales: [{ id: 's1', quote: { due: 700, rule: 'dibao' }, input: { classes: ['dibao'] }, lines: [{ name: '一荤一素', quantity: 2 }] }],
  payment: { due: 700, tenders: [{ kind: 'cash', change: 300 }] },
  cashier: 'p1',
}

test('an encrypted record keeps hash and place and hides its body', async () => {
  const clear = await seal(NEW, MOMENT, 'checkout', BODY)
  const record = await encrypted(clear, TO)
  assert.deepEqual({ ...record, cipher: 'none', key: null, body: clear.body }, clear)
  assert.deepEqual([record.cipher, record.key], ['p256', TO.id])
  assert.match(record.body, /^[\w-]+$/)
  assert.equal(await hashOf({ ...record, body: clear.body }), record.hash, 'the hash is over the clear body')
})

test('no two encryptions of one record are alike', async () => {
  const clear = await seal(NEW, MOMENT, 'checkout', BODY)
  assert.notEqual((await encrypted(clear, TO)).body, (await encrypted(clear, TO)).body)
})

test('only what the screen needs of a record is stored beside it', async () => {
  const clear = await seal(NEW, MOMENT, 'checkout', BODY)
  const summary = summaryOf({ envelope: clear })
  assert.deepEqual(summary, {
    sales: [{ id: 's1', due: 700, food: '一荤一素 × 2' }], due: 700, kind: 'cash', change: 300, cashier: 'p1', undoes: '',
  })
  const row = { ...clear, envelope: await encrypted(clear, TO), summary, made: 1, titles: [] }
  const [shown] = checkouts([row])
  assert.deepEqual(shown.sales, [{ id: 's1', title: '一荤一素 × 2', due: 700, voided: false, notice: '' }])
})
