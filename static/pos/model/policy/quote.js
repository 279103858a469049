// The engine: the price of one meal for a diner under a rulebook, the funds that pay the rest, and why.
//
// The twin of canteen/policy/quote.py: over tests/cases and thousands of generated cases both give the same bytes.

import { Bill } from './bill.js'
import { after, atFirst, judge } from './stacking.js'

/** @import {Diner, Meal, Taken} from './case.js' */
/** @import {Check, Passed, Rounded, Share, Surcharge, Use} from './outcome.js' */
/** @import {LimitRef, Rulebook} from './rules.js' */
/** @import {Outcome} from './stacking.js' */

/**
 * The price of one meal, in fen: `due` = `list` less all shares, and all surcharges besides, named where there are any.
 * @typedef {{list: number, shares: Share[], passed: Passed[], uses: Use[], rounding: Rounded[], checks: Check[],
 *   due: number, surcharges?: Surcharge[]}} Quote
 *
 * An allowance and a window whose usage the engine needs.
 * @typedef {{allowance: string, window: string, unit: string, scope: string}} Wanted
 */

/**
 * Price one meal under the rulebook in force on its day.
 *
 * Each stage of the book works on the price that the earlier ones left. `taken` is the diner's earlier usage of each
 * allowance; an allowance not listed counts as unused. All shares together never exceed the list price; no share is
 * set against a surcharge.
 * @param {Rulebook} book
 * @param {Diner} diner
 * @param {Meal} meal
 * @param {readonly Taken[]} taken
 * @returns {Quote}
 */
export function quote(book, diner, meal, taken) {
  const bill = new Bill(diner, meal, taken)
  let running = atFirst(bill.list)
  /** @type {Outcome[]} */
  const outcomes = []
  for (const { group } of book.stages) {
    const outcome = judge(group, bill, running, running)
    running = after(running, outcome)
    outcomes.push(outcome)
  }
  const surcharges = outcomes.flatMap((one) => one.surcharges)
  return {
    list: bill.list,
    shares: outcomes.flatMap((one) => one.shares),
    passed: outcomes.flatMap((one) => one.passed),
    uses: uses(bill, outcomes),
    rounding: outcomes.flatMap((one) => one.rounding),
    checks: [...outcomes.flatMap((one) => one.checks), ...asked(book, outcomes)],
    due: surcharges.reduce((sum, { fen }) => sum + fen, running.left),
    ...(surcharges.length ? { surcharges } : {}),
  }
}

/**
 * Return the used-up rules that want the elder asked before the meal is sold without them.
 * @param {Rulebook} book
 * @param {readonly Outcome[]} outcomes
 */
const asked = ({ asks }, outcomes) => outcomes.flatMap((one) => one.passed)
  .filter(({ rule, why }) => why === 'used_up' && asks.has(rule))
  .map(({ rule, clause }) => ({ code: 'ask', rule, clause, limit: 0, found: 0, breach: false }))

/**
 * Merge uses: each allowance once, however many rules draw on it; amounts add up.
 * @param {Bill} bill
 * @param {readonly Outcome[]} outcomes
 * @returns {Use[]}
 */
function uses(bill, outcomes) {
  /** @type {Map<string, {ref: LimitRef, amount: number, rules: string[]}>} */
  const found = new Map()
  for (const { rule, ref, amount } of outcomes.flatMap((one) => one.used)) {
    const key = bill.key(ref)
    const before = found.get(key) ?? { ref, amount: 0, rules: [] }
    const rules = before.rules.includes(rule) ? before.rules : [...before.rules, rule]
    found.set(key, { ref, amount: ref.allowance.unit === 'fen' ? before.amount + amount : 1, rules })
  }
  return [...found].map(([key, { ref, amount, rules }]) => ({
    allowance: key,
    unit: ref.allowance.unit,
    scope: ref.allowance.scope,
    window: bill.window(ref.allowance),
    limit: bill.limit(ref),
    amount,
    rules,
    day: bill.meal.day,
  }))
}

/**
 * List every allowance and window whose usage may change this meal's price.
 * @param {Rulebook} book
 * @param {Diner} diner
 * @param {Meal} meal
 * @returns {Wanted[]}
 */
export function wanted(book, diner, meal) {
  const bill = new Bill(diner, meal, [])
  /** @type {Map<string, Wanted>} */
  const found = new Map()
  for (const ref of book.limitRefs) {
    const { allowance } = ref
    const key = bill.key(ref)
    for (const window of [...bill.carriedWindows(allowance), bill.window(allowance)]) {
      found.set(`${key} ${window}`, { allowance: key, window, unit: allowance.unit, scope: allowance.scope })
    }
  }
  return [...found.values()]
}
