// What the rules see while one quote is made: the diner, the meal, the running price, and what was used before.
// The twin of canteen/policy/bill.py.

import { listFen } from './case.js'
import { age, firstOf, windowName } from './days.js'
import { holds } from './rules.js'

/** @import {Diner, Meal, Taken} from './case.js' */
/** @import {LeapDay, Reckoning, Window} from './days.js' */
/** @import {Allowance, Base, Goods, Lean} from './rules.js' */

/** @type {Taken} */
const NOTHING = { allowance: '', window: '', count: 0, fen: 0, days: [] }

/** One meal being priced. `left` is the running price in fen; whatever is reckoned twice is kept. */
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
    this.left = this.list
    for (const one of taken) {
      const windows = this.#taken.get(one.allowance)
      if (windows) windows.set(one.window, one)
      else this.#taken.set(one.allowance, new Map([[one.window, one]]))
    }
  }

  /**
   * Completed years on the meal's day by the rulebook's reckoning; null where the birthday is unknown.
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
   * The diner's rating on a scale; undefined where there is none.
   * @param {string} scale
   */
  level(scale) {
    const { levels } = this.diner
    return Object.hasOwn(levels, scale) ? levels[scale] : undefined
  }

  /**
   * The fen a benefit is reckoned on, out of `price` (or of the list price, if the rule says so).
   *
   * What is left out counts at its list price: earlier reductions are taken to have fallen on the rest.
   * @param {Base} base
   * @param {number} price
   */
  base(base, price) {
    const whole = base.of === 'list' ? this.list : price
    if (base.whole) return whole
    const eligible = Math.max(0, whole - this.#leftOut(base) - base.over)
    return base.first === null ? eligible : Math.min(eligible, base.first)
  }

  /** @param {Base} base */
  #leftOut({ only, but, leaveOut }) {
    if (only) return this.list - this.#worthOf(only)
    const { delivery, packaging } = this.meal.fees
    const parts = { delivery, goods: this.list - delivery - packaging, packaging }
    const out = leaveOut.reduce((sum, name) => sum + parts[name], 0)
    return but ? out + this.#worthOf(but) : out
  }

  /** @param {Goods} goods */
  #worthOf(goods) {
    return this.meal.lines.reduce((sum, line) => (holds(goods, line) ? sum + line.fen * line.qty : sum), 0)
  }

  /**
   * The allowance's name with all that its scope and place ask for.
   * @param {Lean} lean
   */
  key({ allowance: { id, where }, suffix }) {
    if (where === 'everywhere') return id + suffix
    const { canteen } = this.meal
    return `${id}@${where === 'canteen' ? canteen.id : codeAt(where, canteen.areas)}${suffix}`
  }

  /**
   * The window of this meal.
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
   * @param {Lean} lean
   * @param {string} window
   */
  taken(lean, window) {
    return this.#taken.get(this.key(lean))?.get(window) ?? NOTHING
  }

  /**
   * The limit of this meal's window, with what earlier windows left where the allowance carries over.
   * @param {Lean} lean
   */
  limit(lean) {
    const { allowance } = lean
    const own = allowance.scale ? Math.max(0, this.level(allowance.scale) ?? 0) : allowance.limit
    if (!allowance.carry) return own
    let carried = 0
    for (const window of this.carriedWindows(allowance)) {
      const used = this.taken(lean, window)
      const then = allowance.earlier.find(({ last }) => Number(window) <= last)?.limit ?? own
      carried = Math.max(0, carried + then - (allowance.unit === 'fen' ? used.fen : used.count))
      if (allowance.carryMost) carried = Math.min(carried, allowance.carryMost)
    }
    return own + carried
  }

  /**
   * The earlier windows whose leavings still count, oldest first.
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
   * What may still be used: 0 or more meals, 0 or 1 for days, fen less those `spent` within this quote.
   * @param {Lean} lean
   * @param {number} [spent]
   */
  room(lean, spent = 0) {
    const { allowance } = lean
    const taken = this.taken(lean, this.window(allowance))
    if (allowance.unit === 'fen') return Math.max(0, this.limit(lean) - taken.fen - spent)
    if (allowance.unit === 'meal') return Math.max(0, this.limit(lean) - taken.count)
    return taken.days.includes(this.meal.day) || new Set(taken.days).size < this.limit(lean) ? 1 : 0
  }
}

/** @type {Record<number, string>} */
const LEVELS = { 2: 'province', 4: 'city', 9: 'street', 12: 'village' }

/**
 * 'province', 'city', 'district', 'street' or 'village' by the form of an area's code; '' for a functional area.
 * @param {string} code
 */
export function areaLevel(code) {
  if (!/^[0-9]+$/.test(code)) return ''
  if (code.length === 6) return code.endsWith('0000') ? 'province' : code.endsWith('00') ? 'city' : 'district'
  return LEVELS[code.length] ?? ''
}

/**
 * The code among `areas` that is of the level; '' where there is none.
 * @param {string} level
 * @param {readonly string[]} areas
 */
export const codeAt = (level, areas) => areas.find((code) => areaLevel(code) === level) ?? ''
