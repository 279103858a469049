// The meal period, and the meals on offer.

/** @import {MenuItem, Period, Window} from './types.js' */

/** @type {Record<Period, string>} */
export const PERIODS = { breakfast: '早餐', lunch: '午餐', dinner: '晚餐' }

/**
 * Return the period served at `minute` of the day; outside all windows the nearest one, without windows by the hour.
 * @param {Window[]} windows
 * @param {number} minute
 * @returns {Period}
 */
export function periodAt(windows, minute) {
  /** @type {Period} */
  let best = minute < 10 * 60 ? 'breakfast' : minute < 15 * 60 ? 'lunch' : 'dinner'
  let nearest = Infinity
  for (const { period, starts, ends } of windows) {
    const away = minute < starts ? starts - minute : minute > ends ? minute - ends : 0
    if (away < nearest) [best, nearest] = [period, away]
  }
  return best
}

/**
 * Return the meals of `period`, in the order of the menu; where it has none, all that the kitchen has.
 * @param {MenuItem[]} menu
 * @param {Period} period
 */
export function menuOf(menu, period) {
  const own = menu.filter((item) => item.period === period)
  if (own.length > 0) return own
  return menu.filter((item, n) => menu.findIndex(({ id }) => id === item.id) === n) // one of two periods stands there twice
}

/**
 * Return minutes since midnight in Asia/Shanghai.
 * @param {number} ms  since 1970, UTC
 */
export function minuteOfDay(ms) {
  return Math.floor(((((ms / 60_000 + 480) % 1440) + 1440) % 1440))
}
