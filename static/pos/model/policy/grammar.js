// The language of rulebooks: its words and where they may be used. The twin of canteen/policy/grammar.py.

import { DAY_KINDS, KINDS, MODES, PERIODS } from './case.js'
import { APPROVALS, DEATHS, LEAP_DAYS, RECKONINGS, WINDOWS } from './days.js'
import { code, day, either, fen, flag, listOf, minute, named, oneOf, percent, record, text, whole } from './shapes.js'

/** @import {Shape} from './shapes.js' */

const FORMAT = 1
const PAYERS = ['subsidy', 'concession', 'donation']
const PICKS = ['best', 'sum', 'first', 'chain']
const UNITS = ['meal', 'day', 'fen']
const SCOPES = ['person', 'rule', 'fund', 'household']
const AREA_LEVELS = ['province', 'city', 'district', 'street', 'village']
const HERE = ['everywhere', 'canteen', ...AREA_LEVELS]
const BUDGET_ENDS = ['stop', 'queue', 'prorate', 'next']
const ROUND_TO = ['fen', 'jiao', 'yuan']
const ROUND_BY = ['half_up', 'half_down', 'up', 'down']

const codes = listOf(code(), { least: 1 })
const amount = fen(10_000_000)
const feesLeftOut = listOf(oneOf(['delivery', 'goods', 'packaging']), { least: 1, ordered: true })

// --- conditions ------------------------------------------------------------------------------------------------

const condition = named(() => CONDITION)

const BILL = record({
  maybe: {
    at_least: amount,
    above: amount,
    below: amount,
    of: oneOf(['left', 'list']),
    leave_out: feesLeftOut,
    only: code(),
    but: code(),
  },
  someOf: ['at_least', 'above', 'below'],
})

/** @type {Record<string, Shape>} */
const WORDS = {
  all: listOf(condition, { least: 1, most: 30 }),
  any: listOf(condition, { least: 1, most: 30 }),
  not: condition,
  age: record({ maybe: { from: whole(0, 150), below: whole(1, 151) }, someOf: ['from', 'below'] }),
  hukou: codes,
  lives: codes,
  lived: record({ needed: { in: codes, months: whole(1, 1200) } }),
  lived_months: whole(1, 1200),
  birthday: oneOf(['day', 'month']),
  class: codes,
  level: record({
    needed: { scale: code() },
    maybe: { from: whole(-1_000_000), below: whole(-1_000_000) },
    someOf: ['from', 'below'],
  }),
  draws: codes,
  status: codes,
  enrolled: codes,
  canteen: codes,
  canteen_class: codes,
  canteen_grade: codes,
  canteen_level: record({ maybe: { from: whole(0, 1000), below: whole(1, 1001) }, someOf: ['from', 'below'] }),
  canteen_in: codes,
  same: record({ needed: { level: oneOf(AREA_LEVELS), of: oneOf(['hukou', 'residence']) } }),
  period: listOf(oneOf(PERIODS), { least: 1 }),
  day_kind: listOf(oneOf(DAY_KINDS), { least: 1 }),
  weekday: listOf(whole(1, 7), { least: 1, most: 7 }),
  month_day: listOf(whole(1, 31), { least: 1, most: 31 }),
  days: record({ maybe: { from: day(), to: day() }, someOf: ['from', 'to'] }),
  table: record({ maybe: { from: whole(1, 99), below: whole(2, 100) }, someOf: ['from', 'below'] }),
  mode: listOf(oneOf(MODES), { least: 1 }),
  bill: BILL,
  has_item: code(),
  ordered_by: record({ needed: { time: minute() }, maybe: { days_before: whole(0, 30) } }),
  kind: listOf(oneOf(KINDS), { least: 1 }),
  used: record({
    needed: { allowance: code() },
    maybe: { every: whole(2, 1_000_000), from: whole(0), below: whole(1) },
    someOf: ['from', 'below'],
  }),
}
const CONDITION = record({ maybe: WORDS, someOf: Object.keys(WORDS) })

// --- what is given ---------------------------------------------------------------------------------------------

/** The verbs; a rule, or each of its steps, gives exactly one. */
export const BENEFITS = [
  'off', 'pay_percent', 'less', 'pay', 'at_most', 'free', 'free_set', 'free_up_to', 'credit', 'prices', 'seat',
  'top_up', 'suggest', 'ceiling', 'ceiling_fen', 'round_price', 'count',
]

/** @type {Record<string, Shape>} */
const GIVES = {
  off: percent(),
  pay_percent: percent(),
  less: amount,
  pay: amount,
  at_most: percent(),
  free: oneOf(['all']),
  free_set: record({ needed: { set: code() }, maybe: { qty: whole(1, 99) } }),
  free_up_to: amount,
  credit: code(),
  prices: listOf(record({ needed: { item: code(), price: amount } }), { least: 1 }),
  seat: record({ needed: { price: amount } }),
  suggest: amount,
  top_up: amount,
  ceiling: percent(),
  ceiling_fen: amount,
  round_price: record({ needed: { to: oneOf(ROUND_TO), by: oneOf(ROUND_BY) } }),
  count: oneOf(['meal']),
}

const SPLIT = listOf(
  record({
    needed: { fund: code() },
    maybe: {
      fen: amount,
      percent: percent(),
      ratio: whole(1, 10_000),
      rest: flag(),
      when: condition,
      instead: code(),
    },
    oneOf: [['fen', 'percent', 'ratio', 'rest']],
  }),
  { least: 1, most: 12 },
)

const STEP = { ...GIVES, label: text(30), reason: text(120), clause: text(120), most: amount, split: SPLIT }
const AGE_STEP = record({
  needed: { from: whole(0, 150) },
  maybe: { below: whole(1, 151), ...STEP },
  oneOf: [BENEFITS],
})
const LEVEL_STEP = record({
  needed: { from: whole(-1_000_000) },
  maybe: { below: whole(-1_000_000), ...STEP },
  oneOf: [BENEFITS],
})
const CLASS_STEP = record({ maybe: { class: codes, when: condition, ...STEP }, oneOf: [BENEFITS] })

const BASE = record({
  maybe: { of: oneOf(['left', 'list']), leave_out: feesLeftOut, only: code(), but: code(), over: amount, first: amount },
})
const ROUNDING = record({ maybe: { of: oneOf(['benefit', 'price']), to: oneOf(ROUND_TO), by: oneOf(ROUND_BY) } })

const RULE = record({
  needed: { id: code(60), label: text(30), reason: text(120), clause: text(120) },
  maybe: {
    ...GIVES,
    by_age: listOf(AGE_STEP, { least: 1, most: 30 }),
    by_level: record({ needed: { scale: code(), steps: listOf(LEVEL_STEP, { least: 1, most: 30 }) } }),
    by_class: listOf(CLASS_STEP, { least: 1, most: 30 }),
    from: day(),
    to: day(),
    when: condition,
    excludes: codes,
    only_if: oneOf(['bill_above_benefit']),
    base: BASE,
    floor: amount,
    most: amount,
    rounding: ROUNDING,
    limits: codes,
    used_up: oneOf(['next', 'stop', 'ask']),
    fund: code(),
    split: SPLIT,
    note: text(300),
  },
  oneOf: [[...BENEFITS, 'by_age', 'by_level', 'by_class']],
})
const member = named(() => MEMBER)
const MEMBER = either(
  'pick',
  record({
    needed: { id: code(60), pick: oneOf(PICKS), rules: listOf(member, { least: 1, most: 60 }) },
    maybe: { when: condition },
  }),
  RULE,
)
const STAGE = record({
  needed: { id: code(60), title: text(60), rules: listOf(member, { least: 1, most: 60 }) },
  maybe: { pick: oneOf(PICKS), order: whole(0, 1000), when: condition },
})

// --- funds, limits, and the whole ------------------------------------------------------------------------------

const BUDGET = record({
  needed: { limit: fen(500_000_000_000), window: oneOf(['month', 'quarter', 'year']), at_end: oneOf(BUDGET_ENDS) },
  maybe: { warn: percent(), next: code(), where: oneOf(HERE) },
})
const FUND = record({
  needed: { id: code(60), name: text(30), payer: oneOf(PAYERS) },
  maybe: { when: condition, limits: codes, budget: BUDGET, note: text(300) },
})
const allowanceId = code(57) // with @canteen (80) and #scheme/rule (40, 60) the key of a use has at most 240 characters
const ALLOWANCE = record({
  needed: { id: allowanceId, unit: oneOf(UNITS), scope: oneOf(SCOPES), window: oneOf(WINDOWS) },
  maybe: {
    was: allowanceId,
    limit: whole(1, 1_000_000),
    limit_fen: fen(10_000_000, 1),
    limit_level: code(),
    where: oneOf(HERE),
    carry: record({
      needed: { windows: whole(1, 24) },
      maybe: { most_fen: fen(10_000_000, 1), most: whole(1, 1_000_000), within: oneOf(['quarter', 'year']) },
    }),
    earlier: listOf(
      record({
        needed: { to: day() },
        maybe: { limit: whole(1, 1_000_000), limit_fen: fen(10_000_000, 1) },
        oneOf: [['limit', 'limit_fen']],
      }),
      { least: 1, most: 24 },
    ),
    from: day(),
    note: text(300),
  },
  oneOf: [['limit', 'limit_fen', 'limit_level']],
})
const SET = record({
  needed: { id: code(60) },
  maybe: { items: codes, tags: codes, name: text(30) },
  someOf: ['items', 'tags'],
})
const ACKNOWLEDGED = record({
  needed: { code: code(), rule: code(60), clause: text(120) },
  maybe: { note: text(300) },
})

/** One scheme. */
export const RULEBOOK = record({
  needed: {
    format: whole(FORMAT, FORMAT),
    id: code(40),
    title: text(80),
    source: text(300),
    from: day(),
    stages: listOf(STAGE, { most: 20 }),
  },
  maybe: {
    to: day(),
    place: code(),
    age: record({ maybe: { reckoning: oneOf(RECKONINGS), leap_day: oneOf(LEAP_DAYS) } }),
    approval: oneOf(APPROVALS),
    death: oneOf(DEATHS),
    rounding: ROUNDING,
    floor: amount,
    menu: record({ needed: { from: amount, to: amount } }),
    guard: allowanceId,
    when: condition,
    funds: listOf(FUND, { most: 30 }),
    allowances: listOf(ALLOWANCE, { most: 40 }),
    sets: listOf(SET, { most: 40 }),
    acknowledged: listOf(ACKNOWLEDGED, { most: 40 }),
  },
})

/** The layers in force somewhere, most general first. */
export const JOINED = record({ needed: { format: whole(FORMAT, FORMAT), layers: listOf(RULEBOOK, { most: 30 }) } })
