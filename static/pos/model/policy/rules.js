// A compiled rulebook: conditions and benefits are compiled once. The twin of canteen/policy/rules.py.

/** @import {Bill} from './bill.js' */
/** @import {Line} from './case.js' */
/** @import {Approval, Death, LeapDay, Reckoning, Window} from './days.js' */

/**
 * Returns '' where a condition matches, else the word of the first part that does not.
 * @typedef {(bill: Bill) => string} Test
 *
 * The reduction of the base as a fraction, `off` / `over`, so that nothing is rounded early.
 * @typedef {{off: number, over: number}} Exact
 *
 * Takes the bill, the benefit's base and the running price (fen); returns the reduction of the base, not yet rounded.
 * @typedef {(bill: Bill, base: number, left: number) => Exact} Worth
 *
 * Takes the bill and the fen left to pay of each position; returns the reduction of each.
 * @typedef {(bill: Bill, left: readonly number[]) => number[]} ByItem
 *
 * @typedef {'fen' | 'jiao' | 'yuan'} RoundTo
 * @typedef {'half_up' | 'half_down' | 'up' | 'down'} RoundBy
 * @typedef {{of: 'benefit' | 'price', to: RoundTo, by: RoundBy}} Rounding
 *
 * A limit with a stable id: `limit` in its unit, or read from the diner's `scale`; `earlier` gives those of windows
 * that began on the `last` day or before.
 * @typedef {{id: string, unit: 'meal' | 'day' | 'fen', scope: string, window: Window, limit: number, scale: string,
 *   where: string, carry: number, carryMost: number, carryWithin: '' | Window, since: number,
 *   earlier: readonly {last: number, limit: number}[]}} Allowance
 *
 * An allowance as a rule or fund uses it; `suffix` completes its key where the scope asks for it.
 * @typedef {{allowance: Allowance, suffix: string}} LimitRef
 *
 * The money of a fund in a window, and what happens when it ends.
 * @typedef {{allowance: Allowance, warn: number, atEnd: string, next: Fund | null}} Budget
 *
 * A payer. `limits` apply to its shares alone; where `test` fails its share drops and the elder's price rises.
 * @typedef {{id: string, name: string, payer: string, test: Test | null, limits: readonly LimitRef[],
 *   budget: Budget | null}} Fund
 *
 * A fund's part of a benefit: fixed fen, hundredths of a percent of what those leave, or a weight of the rest.
 * @typedef {{fund: Fund, how: 'fen' | 'percent' | 'ratio', amount: number, test: Test | null, instead: Fund | null,
 *   limits: readonly LimitRef[]}} SplitPart
 *
 * A named set of things on a menu: by item or by tag.
 * @typedef {{items: ReadonlySet<string>, tags: ReadonlySet<string>}} Goods
 *
 * The part of the bill that a benefit is computed on; `whole` where nothing is left out.
 * @typedef {{of: string, leaveOut: readonly ('delivery' | 'goods' | 'packaging')[], only: Goods | null,
 *   but: Goods | null, over: number, first: number | null, whole: boolean}} Base
 *
 * One tier of a rule: for whom, how much, of what, within which limits, and in which words. `byItem` gives the
 * reduction of each position where the benefit names items; `listed` is a price list by item.
 * @typedef {{test: Test | null, verb: string, value: any, worth: Worth, byItem: ByItem | null,
 *   listed: ReadonlyMap<string, number> | null, base: Base, limits: readonly LimitRef[], most: number | null,
 *   label: string, reason: string, clause: string, parts: readonly SplitPart[]}} Step
 *
 * A rule: for whom, how much, paid by which funds, how often.
 * @typedef {{id: string, stage: string, firstDay: number, lastDay: number, test: Test | null,
 *   excludes: readonly string[], onlyAbove: boolean, floor: number, rounding: Rounding, stops: boolean,
 *   steps: readonly Step[], clause: string, reason: string}} Rule
 *
 * Rules of which the best counts, or their sum, the first that matches, or each on the price the one before left.
 * @typedef {{id: string, pick: 'best' | 'sum' | 'first' | 'chain', test: Test | null,
 *   members: readonly (Rule | Group)[]}} Group
 *
 * A step of the computation; each sees the price that the earlier ones left.
 * @typedef {{id: string, order: number, group: Group}} Stage
 *
 * Everything in force at a place: its stages in order, and the limits whose usage they need.
 * @typedef {{id: string, title: string, stages: readonly Stage[], limitRefs: readonly LimitRef[],
 *   asks: ReadonlySet<string>}} Rulebook
 *
 * The settings that the words of one rulebook refer to: how it counts ages, its sets of goods, its limits. `limitRefs`
 * collects the limits that conditions read, so that the caller knows whose usage to give.
 * @typedef {{reckoning: Reckoning, leapDay: LeapDay, approval: Approval, death: '' | Death, sets: Map<string, Goods>,
 *   allowances: Map<string, Allowance>, limitRefs: LimitRef[]}} Terms
 */

/**
 * Tell whether a line is of the set.
 * @param {Goods} goods
 * @param {Line} line
 */
export const contains = ({ items, tags }, line) => items.has(line.item) || line.tags.some((tag) => tags.has(tag))
