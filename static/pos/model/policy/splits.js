// The split of a benefit among funds, each within its conditions, limits and budget.
// The twin of canteen/policy/splits.py.

import { split } from '../money.js'

/** @import {Bill} from './bill.js' */
/** @import {Check} from './outcome.js' */
/** @import {Budget, Fund, LimitRef, SplitPart} from './rules.js' */

const WHOLE = 10_000

/**
 * Split `fen` among the parts. Nobody pays what no part takes (fixed amounts of a larger benefit).
 * @param {number} fen
 * @param {readonly SplitPart[]} parts
 * @returns {number[]}
 */
export function portions(fen, parts) {
  if (parts.length === 1 && parts[0].how === 'ratio') return [fen]
  const found = parts.map(() => 0)
  let left = fen
  parts.forEach((part, place) => {
    if (part.how !== 'fen') return
    found[place] = Math.min(left, part.amount)
    left -= found[place]
  })
  const percents = placesOf(parts, 'percent')
  if (percents.length) {
    const weights = percents.map((place) => parts[place].amount)
    const dealt = split(left, [...weights, WHOLE - weights.reduce((sum, weight) => sum + weight)])
    percents.forEach((place, at) => (found[place] = dealt[at]))
    left = dealt[percents.length]
  }
  const ratios = placesOf(parts, 'ratio')
  if (ratios.length && left) {
    const dealt = split(left, ratios.map((place) => parts[place].amount))
    ratios.forEach((place, at) => (found[place] = dealt[at]))
  }
  return found
}

/**
 * @param {readonly SplitPart[]} parts
 * @param {SplitPart['how']} how
 */
const placesOf = (parts, how) => [...parts.keys()].filter((place) => parts[place].how === how)

/** The split of one rule's benefit: what each fund pays, what drops and why, what is used of limits. */
export class Funding {
  /** @type {{fund: Fund, fen: number}[]} */
  paid = []
  /** @type {{fund: Fund, why: string}[]} */
  dropped = []
  /** @type {{ref: LimitRef, amount: number}[]} */
  used = []
  /** @type {{code: string, limit: number, found: number}[]} */
  #checks = []

  /**
   * @param {Bill} bill
   * @param {ReadonlyMap<string, number>} spent
   */
  constructor(bill, spent) {
    this.bill = bill
    this.spent = new Map(spent)
  }

  /**
   * Let the part's fund pay, or the one that stands in for it, or nobody.
   * @param {SplitPart} part
   * @param {number} fen
   */
  pay(part, fen) {
    let { fund } = part
    let why = this.#skipReason(fund, part)
    if (why && part.instead) {
      fund = part.instead
      why = this.#skipReason(fund, null)
    }
    if (why) {
      this.dropped.push({ fund, why })
      return
    }
    const refs = fund === part.fund ? [...part.limits, ...fund.limits] : fund.limits
    const granted = this.#within(fen, refs)
    if (granted < fen && granted === 0) this.dropped.push({ fund, why: 'used_up' })
    else this.#fromBudget(fund, granted, refs)
  }

  /**
   * @param {Fund} fund
   * @param {SplitPart | null} part
   */
  #skipReason(fund, part) {
    if (fund.payer === 'subsidy' && this.bill.meal.flags.includes('outside_window')) return 'outside_window'
    if (part?.test?.(this.bill)) return 'share_dropped'
    return fund.test?.(this.bill) ? 'share_dropped' : ''
  }

  /**
   * Return what the limits leave of `fen`.
   * @param {number} fen
   * @param {readonly LimitRef[]} refs
   */
  #within(fen, refs) {
    let left = fen
    for (const ref of refs) {
      const room = this.#room(ref)
      if (ref.allowance.unit === 'fen') left = Math.min(left, room)
      else if (room === 0) return 0
    }
    return left
  }

  /** @param {LimitRef} ref */
  #room(ref) {
    return this.bill.room(ref, this.spent.get(this.bill.key(ref)) ?? 0)
  }

  /**
   * Draw on the fund's budget; at its end stop, pass to the next fund, or go on and say so.
   * @param {Fund} fund
   * @param {number} fen
   * @param {readonly LimitRef[]} refs
   */
  #fromBudget(fund, fen, refs) {
    const { budget } = fund
    if (!budget) {
      this.#settle(fund, fen, refs)
      return
    }
    const ref = { allowance: budget.allowance, suffix: '' }
    const room = this.#room(ref)
    this.#warn(budget, room, fen)
    if (room < fen && (budget.atEnd === 'stop' || budget.atEnd === 'next')) {
      this.#settle(fund, room, [...refs, ref])
      this.#passOn(fund, budget, fen - room)
    } else {
      this.#settle(fund, fen, [...refs, ref])
    }
  }

  /**
   * Pass on what the budget no longer bears: to the next fund, or to nobody.
   * @param {Fund} fund
   * @param {Budget} budget
   * @param {number} fen
   */
  #passOn(fund, { next }, fen) {
    if (!next) this.dropped.push({ fund, why: 'budget_ended' })
    else if (this.#skipReason(next, null)) this.dropped.push({ fund: next, why: 'share_dropped' })
    else this.#fromBudget(next, this.#within(fen, next.limits), next.limits)
  }

  /**
   * @param {Budget} budget
   * @param {number} room
   * @param {number} fen
   */
  #warn({ allowance: { limit }, atEnd, warn }, room, fen) {
    const found = limit - room + fen
    if (found > limit) this.#checks.push({ code: `budget_${atEnd}`, limit, found })
    else if (warn && found * WHOLE >= limit * warn) this.#checks.push({ code: 'budget_warn', limit, found })
  }

  /**
   * @param {Fund} fund
   * @param {number} fen
   * @param {readonly LimitRef[]} refs
   */
  #settle(fund, fen, refs) {
    if (fen === 0) return
    this.paid.push({ fund, fen })
    for (const ref of refs) {
      const counted = ref.allowance.unit === 'fen'
      this.used.push({ ref, amount: counted ? fen : 1 })
      if (counted) {
        const key = this.bill.key(ref)
        this.spent.set(key, (this.spent.get(key) ?? 0) + fen)
      }
    }
  }

  /**
   * Return the checks noted of budgets.
   * @param {string} rule
   * @param {string} clause
   * @returns {Check[]}
   */
  checked(rule, clause) {
    return this.#checks.map(({ code, limit, found }) => ({ code, rule, clause, limit, found, breach: found > limit }))
  }
}
