// The parts of a quote: shares, surcharges, rules passed over, uses of allowances, roundings, checks.
// The twin of canteen/policy/outcome.py.

/** @import {RoundBy, RoundTo} from './rules.js' */

/**
 * The `fen` (> 0) of a meal that a fund pays by a rule and clause. `label` is for the counter, `reason` for the desk.
 * @typedef {{fund: string, payer: string, rule: string, clause: string, stage: string, fen: number, label: string,
 *   reason: string}} Share
 *
 * The `fen` (> 0) that a price list adds to the menu's price, by rule and clause. No share is set against it.
 * @typedef {{rule: string, clause: string, stage: string, fen: number, label: string, reason: string}} Surcharge
 *
 * A rule that gave nothing, and why: a stable code and a sentence.
 * @typedef {{rule: string, clause: string, why: string, reason: string}} Passed
 *
 * The use that this meal makes of an allowance: 1 meal, 1 day (`day`), or `amount` fen, of `limit` in the window.
 * @typedef {{allowance: string, unit: string, scope: string, window: string, limit: number, amount: number,
 *   rules: string[], day: number}} Use
 *
 * A rounding: the price before and after, and the fund that bears the gap.
 * @typedef {{rule: string, to: RoundTo, by: RoundBy, before: number, after: number, fund: string}} Rounded
 *
 * Something measured, not paid: a price ceiling, a suggested contribution, a budget near its end.
 * @typedef {{code: string, rule: string, clause: string, limit: number, found: number, breach: boolean}} Check
 */

/**
 * Every reason for which a rule is passed over.
 * @type {Record<string, string>}
 */
export const WHY = {
  not_in_force: '当日不在有效期内',
  after_first: '已按前一项标准享受',
  beaten: '另一项标准更优惠，就高不就低',
  excluded: '与已享受的标准不能同时享受',
  used_up: '本期享受次数或金额已用完',
  outside_window: '不在供餐时段内，不享受补贴',
  share_dropped: '该分担方本餐不承担',
  budget_ended: '该项资金预算已用完',
  tier: '不在任何一档之内',
  no_money: '价格已不高于应付价，无需再减',
  bill_not_above_benefit: '餐费未超过补贴额',
  stopped: '同组标准的次数已用完，按原价',
  age: '年龄不在范围内',
  all: '条件未全部满足',
  any: '各项条件均不满足',
  not: '属于除外情形',
  hukou: '户籍不在范围内',
  lives: '居住地不在范围内',
  lived_months: '居住时间不足',
  lived: '在该地区居住时间不足',
  birthday: '不是生日当天或当月',
  month_day: '不是每月的适用日',
  table: '桌位数不符',
  class: '人员类别不符',
  level: '评定等级不符',
  draws: '未领取所要求的待遇',
  status: '人员状态不符',
  enrolled: '未在此处登记',
  canteen: '不是指定的食堂',
  canteen_class: '食堂类别不符',
  canteen_grade: '食堂等级不符',
  canteen_level: '食堂级别不符',
  canteen_in: '食堂不在范围内',
  same: '食堂与本人不在同一区域',
  period: '餐别不符',
  day_kind: '日期类别不符',
  weekday: '星期不符',
  days: '不在适用日期内',
  mode: '就餐方式不符',
  bill: '餐费不符合金额条件',
  has_item: '没有指定的餐品',
  ordered_by: '预订时间已过',
  kind: '就餐人员身份不符',
  used: '本期已用次数不符',
}
