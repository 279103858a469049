// The inputs of the rules while one quote is made: the diner, the meal, the running price, and earlier usage.
// The twin of canteen/policy/bill.py.

import { listFen } from './case.js'
import { age, firstOf, windowName } from './days.js'
import { contains } from './rules.js'

/** @import {Diner, Meal, Taken} from './case.js' */
/** @import {LeapDay, Reckoning, Window} from './days.js' */
/** @import {Allowance, Base, ByItem, LimitRef} from './rules.js' */

/** @type {Taken} */
const NOTHING = { allowance: '', window: '', count: 0, fen: 0, days: [] }

/**
 * The price left in fen, and the benefits given so far, in order: how much, on which part of the bill.
 * @typedef {{left: number, falls: readonly {fen: number, base: Base, byItem: ByItem | null}[]}} RunningPrice
 */

/**
 * One meal being priced; ages and windows are cached.
 *
 * Its positions are the lines of the meal (or its amount), then delivery, then packaging.
 */
export class Bill {
  /** @type {Map<string, Map<string, Taken>>} */
  #taken = new Map()
  /** @type {Map<string, number | null>} */
  #ages = new Map()
  /** @type {Map<Window, string>} */
  #windows = new Map()

  /**
   * @param {Diner} diner
   * @param {Meal} meal
   * @param {readonly Taken[]} taken
   */
  constructor(diner, meal, taken) {
    this.diner = diner
    this.meal = meal
    this.list = listFen(meal)
    /** @type {RunningPrice} */
    this.runningPrice = { left: this.list, falls: [] }
    for (const one of taken) {
      const windows = this.#taken.get(one.allowance)
      if (windows) windows.set(one.window, one)
      else this.#taken.set(one.allowance, new Map([[one.window, one]]))
    }
  }

  /**
   * Return completed years on the meal's day by the `reckoning` given; null where the birthday is unknown.
   * @param {Reckoning} reckoning
   * @param {LeapDay} leapDay
   */
  age(reckoning, leapDay) {
    const kind = `${reckoning} ${leapDay}`
    let years = this.#ages.get(kind)
    if (years === undefined) {
      const birth = this.diner.birth_day
      years = birth === null ? null : age(birth, this.meal.day, reckoning, leapDay)
      this.#ages.set(kind, years)
    }
    return years
  }

  /**
   * Return the diner's rating on a scale; undefined where there is none.
   * @param {string} scale
   */
  level(scale) {
    const { levels } = this.diner
    return Object.hasOwn(levels, scale) ? levels[scale] : undefined
  }

  /**
   * Return the fen a benefit is computed on: of the price left `at` a point, or of the list price.
   *
   * For a part of the bill this is what is left to pay of its positions.
   * @param {Base} base
   * @param {RunningPrice} at
   */
  base(base, at) {
    if (base.whole) return base.of === 'list' ? this.list : at.left
    const positions = base.of === 'list' ? this.listed() : this.leftAt(at)
    const included = this.#included(base)
    const sum = positions.reduce((fen, one, place) => (included[place] ? fen + one : fen), 0)
    const eligible = Math.max(0, sum - base.over)
    return base.first === null ? eligible : Math.min(eligible, base.first)
  }

  /** Return the list price of each position. */
  listed() {
    const { amount, lines, fees } = this.meal
    const goods = amount === null ? lines.map(({ fen, qty }) => fen * qty) : [amount]
    return [...goods, fees.delivery, fees.packaging]
  }

  /**
   * Return what is left to pay of each position after the benefits given so far.
   *
   * A benefit reduces the positions it was given for, in proportion to what is left to pay of each. Any excess reduces
   * the other goods, and delivery and packaging last.
   * @param {RunningPrice} at
   */
  leftAt({ falls }) {
    const left = this.listed()
    for (const { fen, base, byItem } of falls) {
      const included = this.#included(base)
      const named = byItem ? byItem(this, left) : left.map((one, place) => (included[place] ? one : 0))
      const goods = [...left.slice(0, -2), 0, 0]
      const onGoods = named.map((one, place) => Math.min(one, goods[place]))
      let rest = fen
      for (const weights of [onGoods, named, goods, [...left]]) rest = take(left, weights, rest)
    }
    return left
  }

  /** @param {Base} base */
  #included({ only, but, leaveOut }) {
    const { amount, lines } = this.meal
    const all = !leaveOut.includes('goods')
    const goods = amount === null
      ? lines.map((line) => (only ? contains(only, line) : all && !(but && contains(but, line))))
      : [!only && all]
    return [...goods, !only && !leaveOut.includes('delivery'), !only && !leaveOut.includes('packaging')]
  }

  /**
   * Return the allowance's id with the suffixes that its scope and place need.
   * @param {LimitRef} ref
   */
  key({ allowance: { id, where }, suffix }) {
    if (where === 'everywhere') return id + suffix
    const { canteen } = this.meal
    return `${id}@${where === 'canteen' ? canteen.id : codeAt(where, canteen.areas)}${suffix}`
  }

  /**
   * Return the name of the window that the meal falls in.
   * @param {Allowance} allowance
   */
  window({ window }) {
    let name = this.#windows.get(window)
    if (name === undefined) {
      name = windowName(window, this.meal.day, this.meal.period)
      this.#windows.set(window, name)
    }
    return name
  }

  /**
   * @param {LimitRef} ref
   * @param {string} window
   */
  taken(ref, window) {
    return this.#taken.get(this.key(ref))?.get(window) ?? NOTHING
  }

  /**
   * Return the limit of the meal's window, with what earlier windows carried over.
   * @param {LimitRef} ref
   */
  limit(ref) {
    const { allowance } = ref
    const own = allowance.scale ? Math.max(0, this.level(allowance.scale) ?? 0) : allowance.limit
    if (!allowance.carry) return own
    let carried = 0
    for (const window of this.carriedWindows(allowance)) {
      const used = this.taken(ref, window)
      const then = allowance.earlier.find(({ last }) => Number(window) <= last)?.limit ?? own
      carried = Math.max(0, carried + then - (allowance.unit === 'fen' ? used.fen : used.count))
      if (allowance.carryMost) carried = Math.min(carried, allowance.carryMost)
    }
    return own + carried
  }

  /**
   * Return the earlier windows whose remainder still counts, oldest first.
   * @param {Allowance} allowance
   */
  carriedWindows({ window, carry, carryWithin, since }) {
    const found = []
    const begin = carryWithin ? Math.max(since, firstOf(carryWithin, this.meal.day)) : since
    let first = firstOf(window, this.meal.day)
    for (let back = 0; back < carry; back++) {
      first = firstOf(window, first - 1)
      if (first < begin) break
      found.push(String(first))
    }
    return found.reverse()
  }

  /**
   * Return what may still be used: 0 or more meals, 0 or 1 for days, fen less those `spent` within this quote.
   * @param {LimitRef} ref
   * @param {number} [spent]
   */
  room(ref, spent = 0) {
    const { allowance } = ref
    const taken = this.taken(ref, this.window(allowance))
    if (allowance.unit === 'fen') return Math.max(0, this.limit(ref) - taken.fen - spent)
    if (allowance.unit === 'meal') return Math.max(0, this.limit(ref) - taken.count)
    return taken.days.includes(this.meal.day) || new Set(taken.days).size < this.limit(ref) ? 1 : 0
  }
}

/**
 * Take `fen` off the positions by weights, none below zero; return the fen that found no place.
 * @param {number[]} left
 * @param {readonly number[]} weights
 * @param {number} fen
 */
function take(left, weights, fen) {
  const most = left.map((one, place) => Math.min(one, weights[place]))
  const whole = most.reduce((sum, weight) => sum + weight, 0)
  if (!fen || !whole) return fen
  const taken = Math.min(fen, whole)
  let upto = 0
  let before = 0
  most.forEach((weight, place) => {
    upto += weight
    const after = Number((BigInt(taken) * BigInt(upto)) / BigInt(whole)) // beyond 2^53 for the dearest meals
    left[place] -= after - before
    before = after
  })
  return fen - taken
}

/** @type {Record<number, string>} */
const LEVELS = { 2: 'province', 4: 'city', 9: 'street', 12: 'village' }

/**
 * Return 'province', 'city', 'district', 'street' or 'village' by the form of a code; '' for a functional area.
 * @param {string} code
 */
export function areaLevel(code) {
  if (!/^[0-9]+$/.test(code)) return ''
  if (code.length === 6) return code.endsWith('0000') ? 'province' : code.endsWith('00') ? 'city' : 'district'
  return LEVELS[code.length] ?? ''
}

/**
 * Return the code of this level among `areas`; '' where there is none.
 * @param {string} level
 * @param {readonly string[]} areas
 */
export const codeAt = (level, areas) => areas.find((code) => areaLevel(code) === level) ?? ''
