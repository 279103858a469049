// Conditions: from words of a rulebook to tests on a bill. The twin of canteen/policy/conditions.py.
//
// Words are tried in alphabetical order, and a test answers with the first that fails.

import { codeAt } from './bill.js'
import { birthday as birthdayOf, EARLIEST, LATEST, nextMonth, starts, weekday, wholeMonths, ymd } from './days.js'
import { lookUp } from './refusals.js'
import { contains } from './rules.js'

/** @import {Bill} from './bill.js' */
/** @import {Diner} from './case.js' */
/** @import {Approval, Death} from './days.js' */
/** @import {Base, Terms, Test} from './rules.js' */

const DECEASED = 'deceased'

/** @typedef {(bill: Bill) => boolean} Condition */
/** @typedef {{from?: number, below?: number}} Span */

/**
 * Compile a condition record to a test; null, which is always met, for no record.
 * @param {Record<string, any> | undefined} document
 * @param {Terms} terms
 * @returns {Test | null}
 */
export function testOf(document, terms) {
  const parts = Object.keys(document ?? {}).sort()
    .map((word) => ({ word, matches: MAKERS[word](document?.[word], terms) }))
  if (!parts.length) return null
  if (parts.length === 1) {
    const [{ word, matches }] = parts
    return (bill) => (matches(bill) ? '' : word)
  }
  return (bill) => {
    for (const { word, matches } of parts) if (!matches(bill)) return word
    return ''
  }
}

/**
 * Combine two tests: both must be met.
 * @param {Test | null} first
 * @param {Test | null} second
 * @returns {Test | null}
 */
export function both(first, second) {
  if (!first || !second) return first ?? second
  return (bill) => first(bill) || second(bill)
}

/**
 * Return the test that the diner is alive or died too recently to count; null where the rulebook does not say.
 * @param {Terms} terms
 * @returns {Test | null}
 */
export function living({ death }) {
  if (!death) return null
  return (bill) => (gone(bill, death) ? 'status' : '')
}

/**
 * Tell whether a known death counts by now. The day of death itself does not.
 * @param {Bill} bill
 * @param {Death} death
 */
function gone({ diner, meal }, death) {
  if (!diner.statuses.includes(DECEASED)) return false
  const died = sinceOf(diner, 'status', DECEASED)
  return death !== 'month_end' || died === undefined || meal.day >= nextMonth(died)
}

/**
 * Tell whether what was approved for the diner counts on the day of the meal.
 * @param {string} kind
 * @param {string} code
 * @param {Bill} bill
 * @param {Approval} approval
 */
function begun(kind, code, { diner, meal }, approval) {
  if (approval === 'same_day') return true
  const since = sinceOf(diner, kind, code)
  return since === undefined || starts(since, approval) <= meal.day
}

/**
 * @param {Diner} diner
 * @param {string} kind
 * @param {string} code
 * @returns {number | undefined}
 */
const sinceOf = ({ since }, kind, code) => since[`${kind}:${code}`] // no property of objects has such a name

// --- all, any, not ---------------------------------------------------------------------------------------------

/** @type {(parts: Record<string, any>[], terms: Terms) => Condition} */
function all(parts, terms) {
  const tests = parts.map((part) => testOf(part, terms))
  return (bill) => tests.every((test) => !test || !test(bill))
}

/** @type {(parts: Record<string, any>[], terms: Terms) => Condition} */
function any(parts, terms) {
  const tests = parts.map((part) => testOf(part, terms))
  return (bill) => tests.some((test) => !test || !test(bill))
}

/** @type {(part: Record<string, any>, terms: Terms) => Condition} */
function not(part, terms) {
  const test = testOf(part, terms)
  return (bill) => test !== null && test(bill) !== ''
}

// --- the diner -------------------------------------------------------------------------------------------------

/** @type {(span: Span, terms: Terms) => Condition} */
const age = ({ from = -1, below = 999 }, { reckoning, leapDay }) => (bill) => {
  const years = bill.age(reckoning, leapDay)
  return years !== null && from <= years && years < below
}

/** @type {(kinds: string[]) => Condition} */
const kind = (kinds) => (bill) => kinds.includes(bill.diner.kind)

/**
 * Match a diner with one of the codes.
 * @param {(bill: Bill) => readonly string[]} of
 * @returns {(codes: string[]) => Condition}
 */
const among = (of) => (codes) => {
  const wanted = new Set(codes)
  return (bill) => of(bill).some((code) => wanted.has(code))
}

/**
 * Match a diner for whom one of the codes was approved and counts by now.
 * @param {'class' | 'benefit'} kind
 * @param {(bill: Bill) => readonly string[]} of
 * @returns {(codes: string[], terms: Terms) => Condition}
 */
const approved = (kind, of) => (codes, { approval }) => {
  const wanted = new Set(codes)
  return (bill) => of(bill).some((code) => wanted.has(code) && begun(kind, code, bill, approval))
}

/**
 * Match any of the statuses; a death counts from when the rulebook says.
 * @type {(codes: string[], terms: Terms) => Condition}
 */
function status(codes, { death }) {
  const wanted = new Set(codes)
  const later = death === 'month_end' && wanted.delete(DECEASED)
  return (bill) => bill.diner.statuses.some((code) => wanted.has(code)) || (later && gone(bill, 'month_end'))
}

/** @type {(months: number) => Condition} */
const livedMonths = (months) => ({ diner: { residence_since: since }, meal }) =>
  since !== null && wholeMonths(since, meal.day) >= months

/**
 * Match who lived in one of the areas for so many whole months without a break, in whichever homes.
 * @type {(span: {in: string[], months: number}) => Condition}
 */
const lived = ({ in: areas, months }) => ({ diner, meal }) => areas.some((area) => {
  const since = sinceOf(diner, 'lives', area) ?? diner.residence_since
  return diner.residence.includes(area) && since !== null && wholeMonths(since, meal.day) >= months
})

/**
 * Match the birthday itself, or its month.
 * @type {(kind: 'day' | 'month', terms: Terms) => Condition}
 */
const birthday = (kind, { leapDay }) => ({ diner: { birth_day: born }, meal: { day } }) => {
  if (born === null) return false
  const [year, month] = ymd(day)
  return kind === 'month' ? ymd(born)[1] === month : birthdayOf(born, year, leapDay) === day
}

/** @type {(span: Span & {scale: string}, terms: Terms) => Condition} */
const level = ({ scale, from, below }, { approval }) => (bill) => {
  const value = bill.level(scale)
  if (value === undefined || (from !== undefined && value < from) || (below !== undefined && value >= below)) return false
  return begun('level', scale, bill, approval)
}

/**
 * Match ids, or `@canteen`, `@street`, `@district`, `@city` for this canteen and the places it lies in.
 * @type {(codes: string[], terms: Terms) => Condition}
 */
const enrolled = (codes, { approval }) => (bill) => codes.map((code) => here(code, bill))
  .some((code) => bill.diner.enrolled.includes(code) && begun('enrolled', code, bill, approval))

/**
 * @param {string} code
 * @param {Bill} bill
 */
function here(code, { meal: { canteen } }) {
  if (!code.startsWith('@')) return code
  return code === '@canteen' ? canteen.id : codeAt(code.slice(1), canteen.areas)
}

/**
 * Match how much of an allowance was used in this window before: the n-th meal of a day, say.
 * @type {(span: Span & {allowance: string, every?: number}, terms: Terms) => Condition}
 */
function used({ allowance: name, every, from = 0, below }, { allowances, limitRefs }) {
  const ref = { allowance: lookUp(allowances, name), suffix: '' }
  limitRefs.push(ref)
  return (bill) => {
    const taken = bill.taken(ref, bill.window(ref.allowance))
    const count = ref.allowance.unit === 'fen' ? taken.fen : taken.count + new Set(taken.days).size
    const at = every === undefined ? count : count % every
    return at >= from && (below === undefined || at < below)
  }
}

// --- the canteen -----------------------------------------------------------------------------------------------

/** @type {(ids: string[]) => Condition} */
const canteen = (ids) => (bill) => ids.includes(bill.meal.canteen.id)

/** @type {(codes: string[]) => Condition} */
const canteenClass = (codes) => (bill) => codes.includes(bill.meal.canteen.class)

/** @type {(codes: string[]) => Condition} */
const canteenGrade = (codes) => (bill) => codes.includes(bill.meal.canteen.grade ?? '')

/** @type {(span: Span) => Condition} */
const canteenLevel = ({ from = 0, below = 9999 }) => ({ meal: { canteen } }) =>
  from <= canteen.level && canteen.level < below

/**
 * Match a canteen in the same village, street, district, city or province as the diner's hukou or residence.
 * @type {(span: {level: string, of: string}) => Condition}
 */
const same = ({ level, of }) => ({ diner, meal }) => {
  const home = codeAt(level, of === 'hukou' ? diner.hukou : diner.residence)
  return home !== '' && home === codeAt(level, meal.canteen.areas)
}

// --- the meal --------------------------------------------------------------------------------------------------

/** @type {(periods: string[]) => Condition} */
const period = (periods) => (bill) => periods.includes(bill.meal.period)

/** @type {(kinds: string[]) => Condition} */
const dayKind = (kinds) => (bill) => kinds.includes(bill.meal.day_kind)

/** @type {(numbers: number[]) => Condition} */
const onWeekday = (numbers) => (bill) => numbers.includes(weekday(bill.meal.day))

/** @type {(numbers: number[]) => Condition} */
const monthDay = (numbers) => (bill) => numbers.includes(ymd(bill.meal.day)[2])

/**
 * Match a table of so many seats.
 * @type {(span: Span) => Condition}
 */
const table = ({ from = 1, below = 100 }) => ({ meal }) =>
  meal.table !== null && from <= meal.table.seats && meal.table.seats < below

/** @type {(span: {from?: number, to?: number}) => Condition} */
const days = ({ from = EARLIEST, to = LATEST }) => (bill) => from <= bill.meal.day && bill.meal.day <= to

/** @type {(modes: string[]) => Condition} */
const mode = (modes) => (bill) => modes.includes(bill.meal.mode)

/**
 * Match a bill, or the named part of it, of at least, above or below so many fen.
 * @type {(span: Record<string, any>, terms: Terms) => Condition}
 */
function ofBill(span, terms) {
  const base = baseOf(span, terms)
  const { at_least: least = 0, above = -1, below } = span
  return (bill) => {
    const fen = bill.base(base, bill.runningPrice)
    return fen >= least && fen > above && (below === undefined || fen < below)
  }
}

/** @type {(name: string, terms: Terms) => Condition} */
function hasItem(name, terms) {
  const goods = lookUp(terms.sets, name)
  return (bill) => bill.meal.lines.some((line) => contains(goods, line))
}

/**
 * Match orders at the cut-off minute or before, counted from the meal's midnight.
 * @type {(cutOff: {time: number, days_before?: number}) => Condition}
 */
function orderedBy({ time, days_before: before = 0 }) {
  const last = time - 1440 * before
  return ({ meal: { ordered_at: at } }) => at !== null && at <= last
}

/**
 * Compile the part of the bill that `of`, `leave_out`, `only`, `but` and `first` name.
 * @param {Record<string, any>} document
 * @param {Terms} terms
 * @param {string} [of]
 * @returns {Base}
 */
export function baseOf(document, terms, of = 'left') {
  const { leave_out: leaveOut = [], only, but, over = 0, first = null } = document
  return {
    of: document.of ?? of,
    leaveOut,
    only: only === undefined ? null : lookUp(terms.sets, only),
    but: but === undefined ? null : lookUp(terms.sets, but),
    over,
    first,
    whole: !leaveOut.length && only === undefined && but === undefined && !over && first === null,
  }
}

/**
 * Every word that a condition may use; grammar.js defines its value.
 * @type {Record<string, (value: any, terms: Terms) => Condition>}
 */
const MAKERS = {
  age,
  all,
  any,
  bill: ofBill,
  birthday,
  canteen,
  canteen_class: canteenClass,
  canteen_grade: canteenGrade,
  canteen_in: among((bill) => bill.meal.canteen.areas),
  canteen_level: canteenLevel,
  class: approved('class', (bill) => bill.diner.classes),
  day_kind: dayKind,
  days,
  draws: approved('benefit', (bill) => bill.diner.benefits),
  enrolled,
  has_item: hasItem,
  hukou: among((bill) => bill.diner.hukou),
  kind,
  level,
  lived,
  lived_months: livedMonths,
  lives: among((bill) => bill.diner.residence),
  mode,
  month_day: monthDay,
  not,
  ordered_by: orderedBy,
  period,
  same,
  status,
  table,
  used,
  weekday: onWeekday,
}
