// Stacking: which rules of a group count, on which price, and with what result. The twin of canteen/policy/stacking.py,
// which describes the four ways: best, sum, first, chain.

import { rounded, roundTo, TARGETS, UNITS } from './benefits.js'
import { WHY } from './outcome.js'
import { Funding, portions } from './splits.js'

/** @import {Bill, RunningPrice} from './bill.js' */
/** @import {Check, Passed, Rounded, Share, Surcharge} from './outcome.js' */
/** @import {Group, LimitRef, Rule, Step} from './rules.js' */

const WHOLE = 10_000

/**
 * The state between rules: the price left, what others than the canteen gave, fen spent of amount limits, the rules
 * that gave something, and fen added to the menu's price by position, on which no benefit is computed.
 * @typedef {RunningPrice & {granted: number, spent: ReadonlyMap<string, number>, applied: ReadonlySet<string>,
 *   raised: ReadonlyMap<number, number>}} Running
 *
 * The result of a rule or group on a given price. `spent` gives the new totals of amount limits.
 * @typedef {{id: string, off: number, public: number, matches: boolean, stopped: boolean, shares: readonly Share[],
 *   falls: RunningPrice['falls'], surcharges: readonly Surcharge[], raised: ReadonlyMap<number, number>, passed: readonly Passed[], used: readonly {rule: string, ref: LimitRef, amount: number}[],
 *   spent: ReadonlyMap<string, number>, rounding: readonly Rounded[], checks: readonly Check[]}} Outcome
 */

/** @type {ReadonlyMap<string, number>} */
const NOTHING_SPENT = new Map()
/** @type {ReadonlyMap<number, number>} */
const NOTHING_RAISED = new Map()

/**
 * The running price before the first stage.
 * @param {number} list
 * @returns {Running}
 */
export const atFirst = (list) => (
  { left: list, falls: [], granted: 0, spent: NOTHING_SPENT, applied: new Set(), raised: NOTHING_RAISED }
)

/**
 * @param {Running} running
 * @param {Outcome} outcome
 * @returns {Running}
 */
export function after(running, { off, shares, falls, surcharges, raised, spent }) {
  if (!shares.length && !surcharges.length) return running
  const applied = new Set(running.applied)
  let { granted } = running
  for (const { rule, payer, fen } of shares) {
    applied.add(rule)
    if (payer !== 'concession') granted += fen
  }
  return {
    left: running.left - off,
    falls: [...running.falls, ...falls],
    granted,
    spent: merged(running.spent, spent),
    applied,
    raised: added(running.raised, raised),
  }
}

/**
 * Evaluate a rule or group; sums are computed on `at`, and taken from `running.left`.
 * @param {Rule | Group} member
 * @param {Bill} bill
 * @param {Running} running
 * @param {RunningPrice} at
 * @returns {Outcome}
 */
export function judge(member, bill, running, at) {
  if (!('members' in member)) return judgeRule(member, bill, running, at)
  bill.runningPrice = running
  const why = member.test?.(bill)
  if (why) return none(member.id, { passed: rulesOf(member).map((rule) => pass(rule, why)) })
  if (member.pick === 'best') return best(member, bill, running, at)
  if (member.pick === 'first') return first(member, bill, running, at)
  return together(member, bill, running, at)
}

// --- groups ----------------------------------------------------------------------------------------------------

/** @type {(group: Group, bill: Bill, running: Running, at: RunningPrice) => Outcome} */
function best(group, bill, running, at) {
  const outcomes = group.members.map((member) => judge(member, bill, running, at))
  let [won] = outcomes
  if (outcomes.length === 1 && !won.stopped) return { ...won, id: group.id }
  let [stopped, matches] = [false, false]
  for (const one of outcomes) {
    if (isBetter(one, won)) won = one
    stopped ||= one.stopped
    matches ||= one.matches
  }
  if (stopped) return stop(group, outcomes, [won])
  /** @type {Passed[]} */
  const passed = []
  /** @type {Check[]} */
  const checks = []
  for (const one of outcomes) {
    passed.push(...one.passed)
    if (one !== won) passed.push(...passedByRule(one, 'beaten'))
    if (one === won || one.off === 0) checks.push(...one.checks)
  }
  return { ...won, id: group.id, matches, stopped: false, passed, checks }
}

/**
 * Rank outcomes: least due, then least public money, then of those that give nothing one that counts the meal, then
 * the first id. A rule that gives nothing does not set aside a surcharge.
 * @param {Outcome} one
 * @param {Outcome} other
 */
function isBetter(one, other) {
  const changed = changes(one)
  if (changed !== changes(other)) return changed
  const more = one.off - surchargeOf(one) - (other.off - surchargeOf(other))
  if (more) return more > 0
  if (one.public !== other.public) return one.public < other.public
  const idle = !changed && !one.used.length
  const others = !changed && !other.used.length
  return idle !== others ? others : one.id < other.id
}

/** @param {Outcome} outcome */
const changes = ({ shares, surcharges }) => shares.length > 0 || surcharges.length > 0

/** @param {Outcome} outcome */
const surchargeOf = ({ surcharges }) => surcharges.reduce((sum, { fen }) => sum + fen, 0)

/** @type {(group: Group, bill: Bill, running: Running, at: RunningPrice) => Outcome} */
function first(group, bill, running, at) {
  /** @type {Passed[]} */
  const passed = []
  for (const [place, member] of group.members.entries()) {
    const one = judge(member, bill, running, at)
    passed.push(...one.passed)
    if (one.stopped) return stop(group, [one], [one])
    if (one.matches) {
      const rest = group.members.slice(place + 1).flatMap(rulesOf)
      return { ...one, passed: [...passed, ...rest.map((rule) => pass(rule, 'after_first'))] }
    }
  }
  return none(group.id, { passed })
}

/**
 * Evaluate a group that picks sum or chain.
 * @type {(group: Group, bill: Bill, running: Running, at: RunningPrice) => Outcome}
 */
function together(group, bill, running, at) {
  let total = none(group.id)
  let now = running
  for (const member of group.members) {
    const one = judge(member, bill, now, group.pick === 'chain' ? now : at)
    if (one.stopped) return stop(group, [total, one], [total, one])
    now = after(now, one)
    total = {
      id: group.id,
      off: total.off + one.off,
      public: total.public + one.public,
      matches: total.matches || one.matches,
      stopped: false,
      shares: [...total.shares, ...one.shares],
      falls: [...total.falls, ...one.falls],
      surcharges: [...total.surcharges, ...one.surcharges],
      raised: added(total.raised, one.raised),
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
 * Give nothing as a group, because one of its rules is used up and says so. Surcharges of price lists stay.
 * @param {Group} group
 * @param {readonly Outcome[]} outcomes
 * @param {readonly Outcome[]} counted
 */
function stop(group, outcomes, counted) {
  const passed = outcomes.flatMap((one) => [...one.passed, ...passedByRule(one, 'stopped')])
  return {
    ...none(group.id, { passed, stopped: true }),
    surcharges: counted.flatMap((one) => one.surcharges),
    raised: counted.reduce((sum, one) => added(sum, one.raised), NOTHING_RAISED),
  }
}

/**
 * Return one Passed for each rule that would have changed the price.
 * @param {Outcome} outcome
 * @param {string} why
 * @returns {Passed[]}
 */
function passedByRule({ shares, surcharges }, why) {
  if (!shares.length && !surcharges.length) return []
  const byRule = new Map([...shares, ...surcharges].reverse().map(({ rule, clause }) => [rule, clause]))
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

/**
 * Sum fen by position.
 * @param {ReadonlyMap<number, number>} one
 * @param {ReadonlyMap<number, number>} other
 */
function added(one, other) {
  if (!one.size || !other.size) return one.size ? one : other
  const found = new Map(one)
  for (const [place, fen] of other) found.set(place, (found.get(place) ?? 0) + fen)
  return found
}

// --- one rule --------------------------------------------------------------------------------------------------

/** @type {(rule: Rule, bill: Bill, running: Running, at: RunningPrice) => Outcome} */
function judgeRule(rule, bill, running, at) {
  bill.runningPrice = running
  const why = skipReason(rule, bill, running)
  if (why) return none(rule.id, { passed: [pass(rule, why)] })
  const step = rule.steps.find(({ test }) => !test || !test(bill))
  if (!step) return none(rule.id, { passed: [pass(rule, 'tier')] })
  return raise(rule, step, bill, running, give(rule, step, bill, running, at))
}

/** @type {(rule: Rule, step: Step, bill: Bill, running: Running, at: RunningPrice) => Outcome} */
function give(rule, step, bill, running, at) {
  if (step.limits.some((ref) => ref.allowance.unit !== 'fen' && bill.room(ref) === 0)) {
    return none(rule.id, { passed: [pass(rule, 'used_up', step)], stopped: rule.stops })
  }
  if (step.verb === 'ceiling' || step.verb === 'ceiling_fen') return ceiling(rule, step, bill, running)
  if (step.verb === 'round_price') return roundPrice(rule, step, bill, running)
  if (step.verb === 'count') return { ...none(rule.id, { matches: true }), used: counted(rule, step) }
  return payOut(rule, step, bill, running, TARGETS.includes(step.verb) ? running : at)
}

/**
 * Add what the price list charges above the menu's price, less what was added before.
 *
 * It is added whatever other items are reduced by, and also when the rule's limits leave no benefit.
 * @type {(rule: Rule, step: Step, bill: Bill, running: Running, outcome: Outcome) => Outcome}
 */
function raise(rule, step, bill, running, outcome) {
  if (!step.listed) return outcome
  /** @type {Map<number, number>} */
  const raised = new Map()
  for (const [place, { item, qty, fen }] of bill.meal.lines.entries()) {
    const more = ((step.listed.get(item) ?? 0) - fen) * qty - (running.raised.get(place) ?? 0)
    if (more > 0) raised.set(place, more)
  }
  if (!raised.size) return outcome
  const fen = [...raised.values()].reduce((sum, one) => sum + one, 0)
  const { clause, label, reason } = step
  return {
    ...outcome,
    matches: true,
    raised,
    surcharges: [{ rule: rule.id, clause, stage: rule.stage, fen, label, reason }],
    passed: outcome.passed.filter(({ why }) => why !== 'no_money'),
  }
}

/**
 * Return the word for why a rule does not match; '' where it does.
 * @param {Rule} rule
 * @param {Bill} bill
 * @param {Running} running
 */
function skipReason(rule, bill, running) {
  const { day } = bill.meal
  if (day < rule.firstDay || day > rule.lastDay) return 'not_in_force'
  const why = rule.test?.(bill)
  if (why) return why
  return rule.excludes.some((id) => running.applied.has(id)) ? 'excluded' : ''
}

/** @type {(rule: Rule, step: Step, bill: Bill, running: Running, at: RunningPrice) => Outcome} */
function payOut(rule, step, bill, running, at) {
  const base = bill.base(step.base, at)
  const exact = step.worth(bill, base, running.left)
  const topped = step.verb === 'top_up' ? running.granted : 0
  const whole = rounded(exact, base, rule.rounding) - topped
  const benefit = step.most === null ? whole : Math.min(whole, step.most)
  if (rule.onlyAbove && base <= benefit) {
    return none(rule.id, { passed: [pass(rule, 'bill_not_above_benefit', step)], matches: true })
  }
  const most = step.verb === 'at_most' ? benefit : base
  const wanted = Math.max(0, Math.min(benefit, most, running.left - rule.floor))
  if (wanted === 0) return none(rule.id, { passed: [pass(rule, 'no_money', step)], matches: true })
  const fen = within(step, bill, running, wanted)
  if (fen === 0) return none(rule.id, { passed: [pass(rule, 'used_up', step)], stopped: rule.stops })
  const outcome = fund(rule, step, bill, running, fen)
  if (!outcome.shares.length) return outcome
  const rounding = exact.off % exact.over ? [gap(rule, step, at.left, fen)] : []
  const checks = step.verb === 'suggest' ? [...outcome.checks, suggested(rule, step)] : outcome.checks
  return { ...outcome, rounding, checks }
}

/**
 * Return what the amount limits leave of `fen`.
 * @param {Step} step
 * @param {Bill} bill
 * @param {Running} running
 * @param {number} fen
 */
function within(step, bill, running, fen) {
  let left = fen
  for (const ref of step.limits) {
    if (ref.allowance.unit !== 'fen') continue
    left = Math.min(left, bill.room(ref, running.spent.get(bill.key(ref)) ?? 0))
  }
  return left
}

/**
 * Split the benefit among its funds; the rule's own limits are used only if somebody pays.
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
      matches: !usedUp && why !== 'budget_ended',
    })
  }
  const { spent } = funding
  const own = new Set(step.limits.map((ref) => bill.key(ref)))
  const used = funding.used
    .filter(({ ref }) => !own.has(bill.key(ref)))
    .map(({ ref, amount }) => ({ rule: rule.id, ref, amount }))
  for (const ref of step.limits) {
    const counted = ref.allowance.unit === 'fen'
    used.push({ rule: rule.id, ref, amount: counted ? off : 1 })
    if (counted) spent.set(bill.key(ref), (running.spent.get(bill.key(ref)) ?? 0) + off)
  }
  return {
    id: rule.id,
    off,
    public: funding.paid.reduce((sum, { fund, fen }) => (fund.payer === 'subsidy' ? sum + fen : sum), 0),
    matches: true,
    stopped: false,
    shares: funding.paid.map((paid) => share(rule, step, paid)),
    falls: [{ fen: off, base: step.base, byItem: step.byItem }],
    surcharges: [],
    raised: NOTHING_RAISED,
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
 * Return the meal or day that a rule counts though it gives nothing.
 * @param {Rule} rule
 * @param {Step} step
 */
const counted = (rule, step) => step.limits
  .filter(({ allowance }) => allowance.unit !== 'fen')
  .map((ref) => ({ rule: rule.id, ref, amount: 1 }))

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
function ceiling(rule, { base: of, clause, value, verb }, bill, running) {
  const { left } = running
  const base = bill.base(of, running)
  const [limit, found] = verb === 'ceiling_fen' ? [value, base] : [Math.floor((base * value) / WHOLE), left]
  const checks = [{ code: 'ceiling', rule: rule.id, clause, limit, found, breach: found > limit }]
  return { ...none(rule.id, { matches: true }), checks }
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
    return none(rule.id, { passed: [pass(rule, 'no_money', step)], matches: true })
  }
  if (within(step, bill, running, running.left - price) < running.left - price) {
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

/** @type {(id: string, known?: {passed?: readonly Passed[], matches?: boolean, stopped?: boolean}) => Outcome} */
const none = (id, { passed = [], matches = false, stopped = false } = {}) => ({
  id, off: 0, public: 0, matches, stopped, shares: [], falls: [], surcharges: [],
  raised: NOTHING_RAISED, passed, used: [], spent: NOTHING_SPENT, rounding: [], checks: [],
})
