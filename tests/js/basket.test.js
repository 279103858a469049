import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  add, change, checkout, customer, due, EMPTY, less, more, notice, priced, priceLines, question, remove, titleOf,
} from '../../static/pos/model/basket.js'
import { cash } from '../../static/pos/model/change.js'

const SET = [{ item: 'set-a', quantity: 1 }]
const HERE = { canteen: 'c1', point: null, cashier: 'p1', payment: 'pay-1', clock: { offset_ms: 3, boot: 'b' } }

/** What the server answers for one elder whose meal of 12.00 is borne in part by others. */
function quoted({ elder = 'e1', dueFen = 700, guest = null } = {}) {
  return {
    elder: guest ? null : elder,
    credential: guest ? null : 'd'.repeat(64),
    diner: guest ? null : { title: '李奶奶', initial: '李', photo: null },
    guest,
    lines: [{ item: 'set-a', name: '套餐', fen: 1200, quantity: 1, tags: [] }],
    amount: null,
    quote: { list: 1200, due: dueFen, shares: [{ label: '老年补贴', fen: 1200 - dueFen }] },
    input: { diner: {} },
    input_hash: 'a'.repeat(64),
    rulebook: 'b'.repeat(64),
    stamp: 'stamp',
    say: '',
    repeat: false,
  }
}
const answer = (...sales) => ({ at: '', day: '2026-11-22', period: 'lunch', flags: [], sales })
const li = () => customer('sale-1', { scan: '1'.repeat(26), how: 'camera', lines: SET })

test('a basket without a quote cannot be paid', () => {
  assert.equal(due(add(EMPTY, li())), null)
  assert.throws(() => checkout(add(EMPTY, li()), cash(700, 700), HERE))
})

test('any change asks for a new price', () => {
  const paid = priced(add(EMPTY, li()), answer(quoted()), 5)
  assert.equal(due(paid), 700)
  assert.equal(due(change(paid, 'sale-1', { lines: more(SET, 'soup') })), null)
  assert.equal(due(remove(paid, 'sale-1')), null)
})

test('a scan is asked once, afterwards its credential', () => {
  const first = add(EMPTY, li())
  const asked = (basket) => [question(basket, 'c1').sales[0].scan, question(basket, 'c1').sales[0].credential]
  assert.deepEqual(asked(first), ['1'.repeat(26), null])
  const second = change(priced(first, answer(quoted()), 5), 'sale-1', { lines: SET })
  assert.deepEqual(asked(second), [null, 'd'.repeat(64)])
})

test('an amount from another till goes without lines', () => {
  const person = customer('sale-1', { scan: '1', how: 'camera', amount: 2500 })
  const [sale] = question(add(EMPTY, person), 'c1').sales
  assert.equal(sale.amount, 2500)
  assert.equal('lines' in sale, false)
})

test('an elder looked up, with no amount yet, cannot be sold to', () => {
  const person = customer('sale-1', { scan: '1', how: 'camera', amount: 0 })
  const found = { ...quoted({ dueFen: 0 }), lines: [], amount: 0 }
  assert.equal(due(priced(add(EMPTY, person), answer(found), 5)), null)
})

test('a couple pays once, and each sale keeps its own id', () => {
  const two = add(add(EMPTY, li()), customer('sale-2', { scan: '2', how: 'wedge', lines: SET }))
  const paid = priced(two, answer(quoted(), quoted({ elder: 'e2', dueFen: 500 })), 41.6)
  const body = checkout(paid, cash(1200, 2000), HERE)
  assert.deepEqual(body.sales.map(({ id, elder, how }) => [id, elder, how]), [['sale-1', 'e1', 'camera'], ['sale-2', 'e2', 'wedge']])
  assert.deepEqual(body.payment, { id: 'pay-1', due: 1200, tenders: [cash(1200, 2000)] })
  assert.equal(body.sales[0].quoted_mono, 42)
})

test('the record carries the quote as the server gave it', () => {
  const sale = quoted()
  const body = checkout(priced(add(EMPTY, li()), answer(sale), 5), cash(700, 700), HERE)
  for (const name of ['quote', 'input', 'input_hash', 'rulebook', 'stamp', 'lines', 'amount']) {
    assert.deepEqual(body.sales[0][name], sale[name], name)
  }
})

test('a guest has neither elder nor card', () => {
  const person = customer('sale-1', { guest: 'guest', lines: SET })
  const body = checkout(priced(add(EMPTY, person), answer(quoted({ guest: 'guest', dueFen: 1200 })), 5), cash(1200, 1200), HERE)
  assert.deepEqual([body.sales[0].elder, body.sales[0].credential, body.sales[0].guest], [null, null, 'guest'])
  assert.equal(titleOf(add(EMPTY, person), 0), '散客')
})

test('meals are added and taken away one at a time', () => {
  assert.deepEqual(more(more(SET, 'set-a'), 'soup'), [{ item: 'set-a', quantity: 2 }, { item: 'soup', quantity: 1 }])
  assert.deepEqual(less(SET, 'set-a'), [])
})

test('parts with one label are one line of the price', () => {
  const sale = quoted()
  sale.quote.shares = [{ label: '老年补贴', fen: 300 }, { label: '老年补贴', fen: 200 }, { label: '餐厅让利', fen: 100 }]
  assert.deepEqual(priceLines(sale), [{ label: '老年补贴', fen: -500 }, { label: '餐厅让利', fen: -100 }])
})

test('an unusual hour is shown in words, a usual one not', () => {
  const usual = priced(add(EMPTY, li()), answer(quoted()), 5)
  assert.equal(notice(usual), '')
  assert.match(notice({ ...usual, quotes: { ...usual.quotes, flags: ['unheard_of', 'outside_window'] } }), /不是供餐时间/)
})

test('what is added to the menu’s price is a line of it', () => {
  const sale = quoted({ guest: 'guest', dueFen: 1200 })
  sale.quote = { list: 1200, due: 1600, shares: [], surcharges: [{ label: '对外价', fen: 400 }] }
  assert.deepEqual(priceLines(sale), [{ label: '加收（对外价）', fen: 400, added: true }])
})
