import assert from 'node:assert/strict'
import { test } from 'node:test'

import { checkDigits, foreign, MALFORMED, mod97, read } from '../../static/pos/model/scan.js'

const body = '123456789012345678901234'
const card = body + checkDigits(body)

test('a whole card code is read', () => {
  assert.deepEqual(read(card), { kind: 'card', digits: card })
})

test('check digits make the whole number 1 modulo 97', () => {
  assert.equal(mod97(card), 1)
  assert.equal(checkDigits('0'.repeat(23) + '1'), String(98 - (100 % 97)))
})

test('any single wrong digit and any swap of neighbours is seen', () => {
  for (let at = 0; at < card.length; at += 1) {
    const other = String((Number(card[at]) + 1) % 10)
    assert.equal(read(card.slice(0, at) + other + card.slice(at + 1)).kind, 'malformed', `digit ${at}`)
    const swapped = card.slice(0, at) + (card[at + 1] ?? '') + card[at] + card.slice(at + 2)
    if (at + 1 < card.length && swapped !== card) assert.equal(read(swapped).kind, 'malformed', `swap ${at}`)
  }
})

test('the printed number is read, with the blanks people type', () => {
  assert.deepEqual(read('1234 5678'), { kind: 'number', digits: '12345678' })
  assert.deepEqual(read('1234-5678\n'), { kind: 'number', digits: '12345678' })
})

test('full-width digits and what lies between them are folded', () => {
  const wide = [...card].map((digit) => String.fromCodePoint(digit.codePointAt(0) + 0xfee0)).join('')
  assert.deepEqual(read(wide), { kind: 'card', digits: card })
  const noisy = `\ufeff${[...card].join("'")}\u200b\u3000\r`
  assert.deepEqual(read(noisy), { kind: 'card', digits: card })
})

test('a code cut short is malformed, not foreign', () => {
  assert.deepEqual(read(card.slice(0, 25)), { kind: 'malformed', message: MALFORMED })
  assert.deepEqual(read('1234567'), { kind: 'malformed', message: MALFORMED })
})

test('a payment code or an address is foreign', () => {
  assert.deepEqual(read('https://example.com/pay?id=1'), { kind: 'foreign', message: foreign('助餐卡') })
  assert.deepEqual(read('身份证', '敬老卡'), { kind: 'foreign', message: foreign('敬老卡') })
})

test('nothing is nothing', () => {
  assert.deepEqual(read(' \n'), { kind: 'empty' })
})

test('digits of other scripts are no card', () => {
  const arabic = [...card].map((digit) => String.fromCodePoint(0x660 + Number(digit))).join('')
  assert.equal(read(arabic).kind, 'foreign')
})
