// Benefits: what each verb takes off, as an exact fraction, and how that is rounded to whole fen.
// The twin of canteen/policy/benefits.py. Every product here is a safe integer: see grammar.js for the bounds.

import { split } from '../money.js'
import { lookUp } from './refusals.js'
import { holds } from './rules.js'

/** @import {Exact, Rounding, Terms, Worth} from './rules.js' */

const WHOLE = 10_000 // hundredths of a percent
export const UNITS = { fen: 1, jiao: 10, yuan: 100 }

/** Verbs that measure against the list price unless the rule says otherwise. */
export const ON_LIST = ['at_most', 'ceiling']

/**
 * The compiled benefit of a verb and its value.
 * @param {string} verb
 * @param {any} value
 * @param {Terms} terms
 * @returns {Worth}
 */
export const worthOf = (verb, value, terms) => MAKERS[verb](value, terms)

/**
 * Whole fen off the base: the benefit itself rounded, or such that the price left of the base is round.
 * @param {Exact} exact
 * @param {number} base
 * @param {Rounding} rounding
 */
export function rounded({ off, over }, base, { of, to, by }) {
  const unit = UNITS[to]
  if (of === 'benefit') return roundTo(off, over * unit, by) * unit
  const left = Math.max(0, base * over - off)
  return Math.max(0, base - roundTo(left, over * unit, by) * unit)
}

/**
 * part / whole as a whole number; both are 0 or more, halves go as `by` says.
 * @param {number} part
 * @param {number} whole
 * @param {Rounding['by']} by
 */
export function roundTo(part, whole, by) {
  const low = Math.floor(part / whole)
  const over = part % whole
  if (by === 'down' || over === 0) return low
  if (by === 'up') return low + 1
  return 2 * over > whole || (2 * over === whole && by === 'half_up') ? low + 1 : low
}

/**
 * @param {number} off
 * @param {number} [over]
 * @returns {Exact}
 */
const exact = (off, over = 1) => ({ off, over })

/** @type {(percent: number) => Worth} */
const off = (percent) => (_bill, base) => exact(base * percent, WHOLE)

/** @type {(percent: number) => Worth} */
const payPercent = (percent) => (_bill, base) => exact(base * (WHOLE - percent), WHOLE)

/** @type {(fen: number) => Worth} */
const less = (fen) => () => exact(fen)

/** @type {(fen: number) => Worth} */
const pay = (fen) => (_bill, base) => exact(Math.max(0, base - fen))

/** @type {(percent: number) => Worth} */
const atMost = (percent) => (_bill, base, left) => exact(Math.max(0, left - Math.floor((base * percent) / WHOLE)))

/** @type {() => Worth} */
const allFree = () => (_bill, base) => exact(base)

/** @param {number[]} amounts */
const sumOf = (amounts) => amounts.reduce((sum, fen) => sum + fen, 0)

/** @type {(named: {set: string, qty?: number}, terms: Terms) => Worth} */
function freeSet({ set, qty: free = 1 }, terms) {
  const goods = lookUp(terms.sets, set)
  return (bill, base, left) => {
    const prices = bill.meal.lines.filter((line) => holds(goods, line)).flatMap(({ fen, qty }) => Array(qty).fill(fen))
    prices.sort((a, b) => b - a)
    const rest = bill.list - sumOf(prices)
    return exact(Math.min(sumOf(prices.slice(0, free)), Math.max(0, Math.max(base, left) - rest)))
  }
}

/** @type {(listed: {item: string, price: number}[]) => Worth} */
function prices(listed) {
  const price = new Map(listed.map((one) => [one.item, one.price]))
  return (bill) => {
    const off = bill.meal.lines.reduce((sum, { item, fen, qty }) => sum + qty * (fen - (price.get(item) ?? fen)), 0)
    return exact(Math.max(0, off))
  }
}

/** @type {(table: {price: number}) => Worth} */
const seat = ({ price }) => (bill, base) => {
  const { table } = bill.meal
  if (!table) return exact(0)
  return exact(Math.max(0, base - split(price, Array(table.seats).fill(1))[table.seat - 1]))
}

/** @type {() => Worth} */
const nothing = () => () => exact(0)

/** @type {Record<string, (value: any, terms: Terms) => Worth>} */
const MAKERS = {
  at_most: atMost,
  ceiling: nothing,
  ceiling_fen: nothing,
  count: nothing,
  credit: allFree,
  free: allFree,
  free_set: freeSet,
  free_up_to: less,
  less,
  off,
  pay,
  pay_percent: payPercent,
  prices,
  round_price: nothing,
  seat,
  suggest: allFree,
  top_up: less,
}
