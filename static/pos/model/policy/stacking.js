// Stacking: which rules of a group count, on which price, and what they come to. The twin of canteen/policy/stacking.py,
// which tells the four ways: best, sum, first, chain.

import { rounded, roundTo, UNITS } from './benefits.js'
import { WHY } from './outcome.js'
import { Funding, portions } from './splits.js'

/** @import {Bill} from './bill.js' */
/** @import {Check, Passed, Rounded, Share} from './outcome.js' */
/** @import {Group, Lean, Rule, Step} from './rules.js' */

const WHOLE = 10_000

/**
 * Where the reckoning stands: the price left, what others than the canteen gave, fen spent of amount limits, the rules
 * that gave something.
 * @typedef {{left: number, granted: number, spent: ReadonlyMap<string, number>, applied: ReadonlySet<string>}} Running
 *
 * What a rule or group comes to on a given price. `spent` holds the new totals of amount limits.
 * @typedef {{id: string, off: number, public: number, holds: boolean, stopped: boolean, shares: readonly Share[],
 *   passed: readonly Passed[], used: readonly {rule: string, lean: Lean, amount: number}[],
 *   spent: ReadonlyMap<string, number>, rounding: readonly Rounded[], checks: readonly Check[]}} Outcome
 */

/** @type {ReadonlyMap<string, number>} */
const NOTHING_SPENT = new Map()

/**
 * Where the reckoning stands before the first stage.
 * @param {number} list
 * @returns {Running}
 */
export const atFirst = (list) => ({ left: list, granted: 0, spent: NOTHING_SPENT, applied: new Set() })

/**
 * @param {Running} running
 * @param {Outcome} outcome
 * @returns {Running}
 */
export function after(running, { off, shares, spent }) {
  if (!shares.length) return running
  const applied = new Set(running.applied)
  let { granted } = running
  for (const { rule, payer, fen } of shares) {
    applied.add(rule)
    if (payer !== 'concession') granted += fen
  }
  return { left: running.left - off, granted, spent: merged(running.spent, spent), applied }
}

/**
 * What a member comes to; `price` is what sums reckon on, `running.left` what is left to take from.
 * @param {Rule | Group} member
 * @param {Bill} bill
 * @param {Running} running
 * @param {number} price
 * @returns {Outcome}
 */
export function judge(member, bill, running, price) {
  if (!('members' in member)) return judgeRule(member, bill, running, price)
  bill.left = running.left
  const why = member.test?.(bill)
  if (why) return none(member.id, { passed: rulesOf(member).map((rule) => pass(rule, why)) })
  if (member.pick === 'best') return best(member, bill, running, price)
  if (member.pick === 'first') return first(member, bill, running, price)
  return together(member, bill, running, price)
}

// --- groups ----------------------------------------------------------------------------------------------------

/** @type {(group: Group, bill: Bill, running: Running, price: number) => Outcome} */
function best(group, bill, running, price) {
  const outcomes = group.members.map((member) => judge(member, bill, running, price))
  if (outcomes.some((one) => one.stopped)) return stop(group, outcomes)
  const won = outcomes.reduce((before, one) => (isBetter(one, before) ? one : before))
  return {
    ...won,
    id: group.id,
    holds: outcomes.some((one) => one.holds),
    stopped: false,
    passed: outcomes.flatMap((one) => (one === won ? one.passed : [...one.passed, ...beaten(one)])),
    checks: outcomes.filter((one) => one === won || one.off === 0).flatMap((one) => one.checks),
  }
}

/**
 * The most off, then the least public money, then of those that give nothing one that counts the meal, then the first id.
 * @param {Outcome} one
 * @param {Outcome} other
 */
function isBetter(one, other) {
  if (one.off !== other.off) return one.off > other.off
  if (one.public !== other.public) return one.public < other.public
  const [idle, others] = [one, other].map(({ off, used }) => off === 0 && !used.length)
  return idle !== others ? others : one.id < other.id
}

/** @type {(group: Group, bill: Bill, running: Running, price: number) => Outcome} */
function first(group, bill, running, price) {
  /** @type {Passed[]} */
  const passed = []
  for (const [place, member] of group.members.entries()) {
    const one = judge(member, bill, running, price)
    passed.push(...one.passed)
    if (one.stopped) return stop(group, [one])
    if (one.holds) {
      const rest = group.members.slice(place + 1).flatMap(rulesOf)
      return { ...one, passed: [...passed, ...rest.map((rule) => pass(rule, 'after_first'))] }
    }
  }
  return none(group.id, { passed })
}

/**
 * Sum or chain.
 * @type {(group: Group, bill: Bill, running: Running, price: number) => Outcome}
 */
function together(group, bill, running, price) {
  let total = none(group.id)
  let now = running
  for (const member of group.members) {
    const one = judge(member, bill, now, group.pick === 'chain' ? now.left : price)
    if (one.stopped) return stop(group, [total, one])
    now = after(now, one)
    total = {
      id: group.id,
      off: total.off + one.off,
      public: total.public + one.public,
      holds: total.holds || one.holds,
      stopped: false,
      shares: [...total.shares, ...one.shares],
      passed: [...total.passed, ...one.passed],
      used: [...total.used, ...one.used],
      spent: merged(total.spent, one.spent),
      rounding: [...total.rounding, ...one.rounding],
      checks: [...total.checks, ...one.checks],
    }
  }
  return total
}

/**
 * The group gives nothing, for one of its rules is used up and says so.
 * @param {Group} group
 * @param {readonly Outcome[]} outcomes
 */
function stop(group, outcomes) {
  const passed = outcomes.flatMap((one) => [...one.passed, ...oncePassed(one.shares, 'stopped')])
  return none(group.id, { passed, stopped: true })
}

/** @param {Outcome} outcome */
const beaten = (outcome) => oncePassed(outcome.shares, 'beaten')

/**
 * Each rule of the shares passed over once, in the order of their last shares.
 * @param {readonly Share[]} shares
 * @param {string} why
 * @returns {Passed[]}
 */
function oncePassed(shares, why) {
  const byRule = new Map([...shares].reverse().map(({ rule, clause }) => [rule, clause]))
  return [...byRule].reverse().map(([rule, clause]) => ({ rule, clause, why, reason: WHY[why] }))
}

/**
 * @param {Rule | Group} member
 * @returns {Rule[]}
 */
const rulesOf = (member) => ('members' in member ? member.members.flatMap(rulesOf) : [member])

/**
 * @param {ReadonlyMap<string, number>} one
 * @param {ReadonlyMap<string, number>} other
 */
const merged = (one, other) => (!other.size ? one : !one.size ? other : new Map([...one, ...other]))

// --- one rule --------------------------------------------------------------------------------------------------

/** @type {(rule: Rule, bill: Bill, running: Running, price: number) => Outcome} */
function judgeRule(rule, bill, running, price) {
  bill.left = running.left
  const why = barred(rule, bill, running)
  if (why) return none(rule.id, { passed: [pass(rule, why)] })
  const step = rule.steps.find(({ test }) => !test || !test(bill))
  if (!step) return none(rule.id, { passed: [pass(rule, 'tier')] })
  if (rule.limits.some((lean) => lean.allowance.unit !== 'fen' && bill.room(lean) === 0)) {
    return none(rule.id, { passed: [pass(rule, 'used_up', step)], stopped: rule.stops })
  }
  if (step.verb === 'ceiling' || step.verb === 'ceiling_fen') return ceiling(rule, step, bill, running)
  if (step.verb === 'round_price') return roundPrice(rule, step, bill, running)
  if (step.verb === 'count') return { ...none(rule.id, { holds: true }), used: counted(rule) }
  return payOut(rule, step, bill, running, price)
}

/**
 * The word for why a rule does not hold; '' where it does.
 * @param {Rule} rule
 * @param {Bill} bill
 * @param {Running} running
 */
function barred(rule, bill, running) {
  const { day } = bill.meal
  if (day < rule.firstDay || day > rule.lastDay) return 'not_in_force'
  const why = rule.test?.(bill)
  if (why) return why
  return rule.excludes.some((id) => running.applied.has(id)) ? 'excluded' : ''
}

/** @type {(rule: Rule, step: Step, bill: Bill, running: Running, price: number) => Outcome} */
function payOut(rule, step, bill, running, price) {
  const base = bill.base(rule.base, price)
  const exact = step.worth(bill, base, running.left)
  const topped = step.verb === 'top_up' ? running.granted : 0
  const whole = rounded(exact, base, rule.rounding) - topped
  const benefit = step.most === null ? whole : Math.min(whole, step.most)
  if (rule.onlyAbove && base <= benefit) {
    return none(rule.id, { passed: [pass(rule, 'bill_not_above_benefit', step)], holds: true })
  }
  const most = step.verb === 'at_most' ? benefit : base
  const wanted = Math.max(0, Math.min(benefit, most, running.left - rule.floor))
  if (wanted === 0) return none(rule.id, { passed: [pass(rule, 'no_money', step)], holds: true })
  const fen = within(rule, bill, running, wanted)
  if (fen === 0) return none(rule.id, { passed: [pass(rule, 'used_up', step)], stopped: rule.stops })
  const outcome = fund(rule, step, bill, running, fen)
  if (!outcome.shares.length) return outcome
  const rounding = exact.off % exact.over ? [gap(rule, step, price, fen)] : []
  const checks = step.verb === 'suggest' ? [...outcome.checks, suggested(rule, step)] : outcome.checks
  return { ...outcome, rounding, checks }
}

/**
 * What the rule's amount limits leave of `fen`.
 * @param {Rule} rule
 * @param {Bill} bill
 * @param {Running} running
 * @param {number} fen
 */
function within(rule, bill, running, fen) {
  let left = fen
  for (const lean of rule.limits) {
    if (lean.allowance.unit !== 'fen') continue
    left = Math.min(left, bill.room(lean, running.spent.get(bill.key(lean)) ?? 0))
  }
  return left
}

/**
 * Hand the benefit to its funds; it is used of the rule's own limits only if somebody pays.
 * @type {(rule: Rule, step: Step, bill: Bill, running: Running, fen: number) => Outcome}
 */
function fund(rule, step, bill, running, fen) {
  const funding = new Funding(bill, running.spent)
  const amounts = portions(fen, step.parts)
  step.parts.forEach((part, place) => {
    if (amounts[place]) funding.pay(part, amounts[place])
  })
  const off = funding.paid.reduce((sum, { fen }) => sum + fen, 0)
  if (off === 0) {
    const why = funding.dropped.length ? funding.dropped[0].why : 'no_money'
    const usedUp = why === 'used_up'
    return none(rule.id, {
      passed: [pass(rule, why, step)],
      stopped: rule.stops && usedUp,
      holds: !usedUp && why !== 'budget_ended',
    })
  }
  const { spent } = funding
  const own = new Set(rule.limits.map((lean) => bill.key(lean)))
  const used = funding.used
    .filter(({ lean }) => !own.has(bill.key(lean)))
    .map(({ lean, amount }) => ({ rule: rule.id, lean, amount }))
  for (const lean of rule.limits) {
    const counted = lean.allowance.unit === 'fen'
    used.push({ rule: rule.id, lean, amount: counted ? off : 1 })
    if (counted) spent.set(bill.key(lean), (running.spent.get(bill.key(lean)) ?? 0) + off)
  }
  return {
    id: rule.id,
    off,
    public: funding.paid.reduce((sum, { fund, fen }) => (fund.payer === 'subsidy' ? sum + fen : sum), 0),
    holds: true,
    stopped: false,
    shares: funding.paid.map((paid) => share(rule, step, paid)),
    passed: funding.dropped.map(({ fund, why }) => ({
      rule: rule.id, clause: step.clause, why, reason: `${fund.name}：${WHY[why]}`,
    })),
    used,
    spent,
    rounding: [],
    checks: funding.checked(rule.id, step.clause),
  }
}

/**
 * The meal or day that a rule counts though it gives nothing.
 * @param {Rule} rule
 */
const counted = (rule) => rule.limits
  .filter(({ allowance }) => allowance.unit !== 'fen')
  .map((lean) => ({ rule: rule.id, lean, amount: 1 }))

/**
 * @param {Rule} rule
 * @param {Step} step
 * @param {Funding['paid'][number]} paid
 * @returns {Share}
 */
function share(rule, step, { fund, fen }) {
  const label = step.parts.length === 1 ? step.label : `${step.label}（${fund.name}）`
  const { clause, reason } = step
  return { fund: fund.id, payer: fund.payer, rule: rule.id, clause, stage: rule.stage, fen, label, reason }
}

/** @type {(rule: Rule, step: Step, price: number, fen: number) => Rounded} */
function gap(rule, step, price, fen) {
  const { to, by } = rule.rounding
  return { rule: rule.id, to, by, before: price, after: price - fen, fund: step.parts[0].fund.id }
}

/** @type {(rule: Rule, step: Step) => Check} */
const suggested = (rule, { clause, value }) =>
  ({ code: 'suggested', rule: rule.id, clause, limit: value, found: 0, breach: false })

/**
 * Measure the running price against a part of the list price; no money moves.
 * @type {(rule: Rule, step: Step, bill: Bill, running: Running) => Outcome}
 */
function ceiling(rule, { clause, value, verb }, bill, { left }) {
  const base = bill.base(rule.base, left)
  const [limit, found] = verb === 'ceiling_fen' ? [value, base] : [Math.floor((base * value) / WHOLE), left]
  const checks = [{ code: 'ceiling', rule: rule.id, clause, limit, found, breach: found > limit }]
  return { ...none(rule.id, { holds: true }), checks }
}

/**
 * Round the running price down; the gap is the fund's. A price already round stays, and so does one rounded up.
 * @type {(rule: Rule, step: Step, bill: Bill, running: Running) => Outcome}
 */
function roundPrice(rule, step, bill, running) {
  /** @type {Rule['rounding']} */
  const { to, by } = step.value
  const price = roundTo(running.left, UNITS[to], by) * UNITS[to]
  if (running.left <= price || price < rule.floor) {
    return none(rule.id, { passed: [pass(rule, 'no_money', step)], holds: true })
  }
  if (within(rule, bill, running, running.left - price) < running.left - price) {
    return none(rule.id, { passed: [pass(rule, 'used_up', step)], stopped: rule.stops })
  }
  const outcome = fund(rule, step, bill, running, running.left - price)
  if (!outcome.shares.length) return outcome
  const { fund: payer } = outcome.shares[0]
  const rounding = [{ rule: rule.id, to, by, before: running.left, after: running.left - outcome.off, fund: payer }]
  return { ...outcome, rounding }
}

/** @type {(rule: Rule, why: string, step?: Step) => Passed} */
const pass = (rule, why, step) => ({ rule: rule.id, clause: (step ?? rule).clause, why, reason: WHY[why] })

/** @type {(id: string, known?: {passed?: readonly Passed[], holds?: boolean, stopped?: boolean}) => Outcome} */
const none = (id, { passed = [], holds = false, stopped = false } = {}) => ({
  id, off: 0, public: 0, holds, stopped, shares: [], passed, used: [], spent: NOTHING_SPENT, rounding: [], checks: [],
})
