// Benefits: what each verb takes off, as an exact fraction, and how that is rounded to whole fen.
// The twin of canteen/policy/benefits.py. Every product here is a safe integer: see grammar.js for the bounds.

import { split } from '../money.js'
import { lookUp } from './refusals.js'
import { contains } from './rules.js'

/** @import {ByItem, Exact, Rounding, Terms, Worth} from './rules.js' */

const WHOLE = 10_000 // hundredths of a percent
export const UNITS = { fen: 1, jiao: 10, yuan: 100 }

/** Verbs that measure against the list price unless the rule says otherwise. */
export const ON_LIST = ['at_most', 'ceiling']

/** Verbs that fix what is to be paid in the end: they measure what is still to be paid, in whatever stage. */
export const TARGETS = ['pay', 'prices', 'seat', 'free', 'free_set']

/**
 * Compile a verb and its value: the benefit, and what it takes off each position where it names items.
 * @param {string} verb
 * @param {any} value
 * @param {Terms} terms
 * @returns {{worth: Worth, byItem: ByItem | null}}
 */
export function worthOf(verb, value, terms) {
  if (!Object.hasOwn(BY_ITEM, verb)) return { worth: MAKERS[verb](value, terms), byItem: null }
  const byItem = BY_ITEM[verb](value, terms)
  return { worth: summed(byItem), byItem }
}

/**
 * Round a benefit to whole fen: the benefit itself, or such that the price left of the base is round.
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
 * Divide part by whole and round to a whole number; both are 0 or more, `by` says how halves go.
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

/**
 * Make so many of a set free, those with most left to pay first.
 * @type {(named: {set: string, qty?: number}, terms: Terms) => ByItem}
 */
function freeSet({ set, qty: free = 1 }, terms) {
  const goods = lookUp(terms.sets, set)
  return (bill, left) => {
    const units = bill.meal.lines.flatMap((line, place) =>
      (contains(goods, line) ? split(left[place], Array(line.qty).fill(1)).map((fen) => ({ fen, place })) : []))
    units.sort((one, other) => other.fen - one.fen || one.place - other.place)
    const found = left.map(() => 0)
    for (const { fen, place } of units.slice(0, free)) found[place] += fen
    return found
  }
}

/**
 * Take off, of each item on a price list, what is left to pay above its listed price.
 * @type {(listed: {item: string, price: number}[]) => ByItem}
 */
function prices(listed) {
  const price = priceList(listed)
  return (bill, left) => left.map((fen, place) => {
    const line = bill.meal.lines[place]
    const each = line && price.get(line.item)
    return each === undefined ? 0 : Math.max(0, fen - each * line.qty)
  })
}

/**
 * Return the listed price of each item, in fen.
 * @param {readonly {item: string, price: number}[]} listed
 */
export const priceList = (listed) => new Map(listed.map((one) => [one.item, one.price]))

/** @type {(byItem: ByItem) => Worth} */
const summed = (byItem) => (bill) =>
  exact(byItem(bill, bill.leftAt(bill.runningPrice)).reduce((sum, fen) => sum + fen, 0))

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
  free_up_to: less,
  less,
  off,
  pay,
  pay_percent: payPercent,
  round_price: nothing,
  seat,
  suggest: allFree,
  top_up: less,
}

/**
 * Verbs that are computed item by item.
 * @type {Record<string, (value: any, terms: Terms) => ByItem>}
 */
const BY_ITEM = { free_set: freeSet, prices }
