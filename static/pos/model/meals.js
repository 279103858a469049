// Which meal it is, and what is on offer.

/** @import {MenuItem, Period, Window} from './types.js' */

/** @type {Record<Period, string>} */
export const PERIODS = { breakfast: '早餐', lunch: '午餐', dinner: '晚餐' }

/**
 * The period served at `minute` of the day; outside all windows the nearest one.
 * @param {Window[]} windows
 * @param {number} minute
 * @returns {Period | null}
 */
export function periodAt(windows, minute) {
  let best = null
  let nearest = Infinity
  for (const { period, starts, ends } of windows) {
    const away = minute < starts ? starts - minute : minute > ends ? minute - ends : 0
    if (away < nearest) [best, nearest] = [period, away]
  }
  return best
}

/**
 * The meals of `period`, in the order of the menu.
 * @param {MenuItem[]} menu
 * @param {Period | null} period
 */
export const menuOf = (menu, period) => menu.filter((item) => item.period === period)

/**
 * Minutes since midnight in Asia/Shanghai.
 * @param {number} ms  since 1970, UTC
 */
export function minuteOfDay(ms) {
  return Math.floor(((((ms / 60_000 + 480) % 1440) + 1440) % 1440))
}
