// The input of a quote: a diner, a meal, and earlier usage. The twin of canteen/policy/case.py.
//
// Here the values are the JSON documents themselves, every field written, so that a sale can store them unchanged.

import { byCodePoint } from './canonical.js'
import { problem, Refused } from './refusals.js'
import { code, day, fen, listOf, mapOf, oneOf, orNull, record, whole } from './shapes.js'

/** @import {Problem} from './refusals.js' */

export const KINDS = ['elder', 'guest', 'spouse', 'volunteer', 'staff']
export const PERIODS = ['breakfast', 'lunch', 'dinner']
export const MODES = ['dine_in', 'take_away', 'delivered', 'collected']
export const DAY_KINDS = ['workday', 'weekend', 'holiday', 'makeup']

/**
 * The person who eats, as the rules see them on the meal's day; days are civil-day numbers.
 * @typedef {{kind: string, birth_day: number | null, hukou: string[], residence: string[],
 *   residence_since: number | null, classes: string[], levels: Record<string, number>, statuses: string[],
 *   enrolled: string[], benefits: string[], since: Record<string, number>}} Diner  `since` as in case.py
 *
 * @typedef {{id: string, class: string, grade: string | null, level: number, areas: string[]}} MealCanteen
 * @typedef {{item: string, fen: number, qty: number, tags: string[]}} Line  `fen` is for one
 *
 * A meal: lines with their prices, or one amount rung up elsewhere; `ordered_at` in minutes of the day.
 * @typedef {{day: number, period: string, mode: string, canteen: MealCanteen, day_kind: string, lines: Line[],
 *   amount: number | null, fees: {delivery: number, packaging: number}, ordered_at: number | null,
 *   table: {seats: number, seat: number} | null, flags: string[]}} Meal
 *
 * Usage of one allowance in one window before this meal: meals, fen, or the days on which it was used.
 * @typedef {{allowance: string, window: string, count: number, fen: number, days: number[]}} Taken
 * @typedef {{diner: Diner, meal: Meal, taken: Taken[]}} Case
 */

const codes = listOf(code(), { ordered: true })
const areas = listOf(code(), { most: 20 })

const DINER = record({
  needed: { kind: oneOf(KINDS) },
  maybe: {
    birth_day: orNull(day()),
    hukou: areas,
    residence: areas,
    residence_since: orNull(day()),
    classes: codes,
    levels: mapOf(whole(-1_000_000, 1_000_000_000)),
    statuses: codes,
    enrolled: codes,
    benefits: codes,
    since: mapOf(day(), 500, code(100)),
  },
})
const CANTEEN = record({
  needed: { id: code() },
  maybe: { class: code(), grade: orNull(code()), level: orNull(whole(0, 1000)), areas },
})
const LINE = record({
  needed: { item: code(), fen: fen(1_000_000), qty: whole(1, 99) },
  maybe: { tags: codes },
})
const MEAL = record({
  needed: { day: day(), period: oneOf(PERIODS), canteen: CANTEEN },
  maybe: {
    mode: oneOf(MODES),
    day_kind: oneOf(DAY_KINDS),
    lines: listOf(LINE, { most: 50 }),
    amount: orNull(fen()),
    fees: record({ maybe: { delivery: fen(1_000_000), packaging: fen(1_000_000) } }),
    ordered_at: orNull(whole(-44_640, 2880)),
    table: orNull(record({ needed: { seats: whole(1, 99), seat: whole(1, 99) } })),
    flags: codes,
  },
})
const TAKEN = record({
  needed: { allowance: code(240), window: code() },
  maybe: { count: whole(0, 1_000_000), fen: fen(1_000_000_000_000), days: listOf(day(), { most: 400 }) },
})
const CASE = record({ needed: { diner: DINER, meal: MEAL }, maybe: { taken: listOf(TAKEN, { most: 500 }) } })

/**
 * Read a case from a JSON document, every field written. Throws Refused with the first problem found.
 * @param {unknown} document
 * @returns {Case}
 */
export function readCase(document) {
  const found = /** @type {Problem[]} */ ([])
  CASE(document, '', found)
  if (found.length) throw new Refused(found[0])
  const { diner, meal: asked, taken = [] } = /** @type {any} */ (document)
  const meal = mealOf(asked)
  if (meal.amount !== null && meal.lines.length) {
    throw new Refused(problem('meal_twice', 'meal', '明细与金额只能填一种'))
  }
  if (meal.amount === null && !meal.lines.length) {
    throw new Refused(problem('meal_empty', 'meal', '没有菜品明细，也没有金额'))
  }
  if (meal.table && meal.table.seat > meal.table.seats) {
    throw new Refused(problem('out_of_range', 'meal.table.seat', '座位号大于桌位数', String(meal.table.seat)))
  }
  return { diner: dinerOf(diner), meal, taken: taken.map(takenOf) }
}

/**
 * Return a diner without a card, of whom nothing is known.
 * @param {string} [kind]
 */
export const guest = (kind = 'guest') => dinerOf({ kind })

/**
 * Return the JSON of a case as it is hashed and stored: `taken` is sorted by allowance and window.
 * @param {Diner} diner
 * @param {Meal} meal
 * @param {readonly Taken[]} taken
 * @returns {Case}
 */
export function caseDoc(diner, meal, taken) {
  const ordered = taken.map((one) => ({ ...one, days: [...new Set(one.days)].sort((a, b) => a - b) }))
  ordered.sort((a, b) => byCodePoint(a.allowance, b.allowance) || byCodePoint(a.window, b.window))
  return { diner, meal, taken: ordered }
}

/**
 * Return the list price of the food alone.
 * @param {Meal} meal
 */
export const goodsFen = ({ amount, lines }) => amount ?? lines.reduce((sum, line) => sum + line.fen * line.qty, 0)

/**
 * Return the list price: food, delivery, packaging.
 * @param {Meal} meal
 */
export const listFen = (meal) => goodsFen(meal) + meal.fees.delivery + meal.fees.packaging

/**
 * @param {any} doc  checked
 * @returns {Diner}
 */
function dinerOf(doc) {
  return {
    kind: doc.kind,
    birth_day: doc.birth_day ?? null,
    hukou: doc.hukou ?? [],
    residence: doc.residence ?? [],
    residence_since: doc.residence_since ?? null,
    classes: doc.classes ?? [],
    levels: doc.levels ?? {},
    statuses: doc.statuses ?? [],
    enrolled: doc.enrolled ?? [],
    benefits: doc.benefits ?? [],
    since: doc.since ?? {},
  }
}

/**
 * @param {any} doc  checked
 * @returns {Meal}
 */
function mealOf(doc) {
  const { canteen, fees = {} } = doc
  return {
    day: doc.day,
    period: doc.period,
    mode: doc.mode ?? 'dine_in',
    canteen: {
      id: canteen.id,
      class: canteen.class ?? 'counter',
      grade: canteen.grade ?? null,
      level: canteen.level ?? 0,
      areas: canteen.areas ?? [],
    },
    day_kind: doc.day_kind ?? 'workday',
    lines: (doc.lines ?? []).map((/** @type {any} */ { item, fen, qty, tags = [] }) => ({ item, fen, qty, tags })),
    amount: doc.amount ?? null,
    fees: { delivery: fees.delivery ?? 0, packaging: fees.packaging ?? 0 },
    ordered_at: doc.ordered_at ?? null,
    table: doc.table ?? null,
    flags: doc.flags ?? [],
  }
}

/**
 * @param {any} doc  checked
 * @returns {Taken}
 */
const takenOf = ({ allowance, window, count = 0, fen = 0, days = [] }) => ({ allowance, window, count, fen, days })
