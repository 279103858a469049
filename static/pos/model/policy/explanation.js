// A quote in words: for the counter, without anybody's class, and for the auditor, with every figure.
// The twin of canteen/policy/explanation.py.

import { show } from '../money.js'

/** @import {Quote} from './quote.js' */

/** @type {Record<string, string>} */
const PAYER = { subsidy: '补贴', concession: '让利', donation: '捐助' }

/**
 * Say a quote in two Chinese sentences: for the cashier to read aloud, without classes, and for an auditor.
 * @param {Quote} quote
 * @returns {{counter: string, audit: string}}
 */
export const say = (quote) => ({ counter: counter(quote), audit: audit(quote) })

/** @param {Quote} quote */
function counter({ list, shares, surcharges = [], due }) {
  /** @type {Map<string, number>} */
  const byLabel = new Map()
  for (const { label, fen } of shares) byLabel.set(label, (byLabel.get(label) ?? 0) + fen)
  const parts = [
    `原价${show(list)}元`,
    ...[...byLabel].map(([label, fen]) => `${label}${show(fen)}元`),
    ...surcharges.map(({ label, fen }) => `${label}加收${show(fen)}元`),
    due === 0 && list ? '本餐免费' : `请付${show(due)}元`,
  ]
  return `${parts.join('，')}。`
}

/** @param {Quote} quote */
function audit({ list, shares, surcharges = [], passed, checks, due }) {
  const less = [list, ...shares.map(({ fen }) => fen)].map(show).join(' - ')
  const sums = [less, ...surcharges.map(({ fen }) => show(fen))].join(' + ')
  const parts = [
    `原价${show(list)}元`,
    ...shares.map(({ payer, fen, fund, rule, clause, reason }) =>
      `${PAYER[payer]}${show(fen)}元由${fund}承担（${rule}，${clause}，${reason}）`),
    ...surcharges.map(({ fen, rule, clause, reason }) => `加收${show(fen)}元（${rule}，${clause}，${reason}）`),
    `实付${show(due)}元（${sums} = ${show(due)}）`,
    ...passed.map(({ rule, clause, reason }) => `未适用${rule}（${clause}）：${reason}`),
    ...checks.filter(({ breach }) => breach).map(({ code, rule, clause }) => `超出限额：${code}，${rule}（${clause}）`),
  ]
  return `${parts.join('；')}。`
}
