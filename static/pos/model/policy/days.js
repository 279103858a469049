// Days as whole numbers: civil days since 1970-01-01, ages, and the windows of limits. The twin of canteen/policy/days.py.

export const EARLIEST = -36_524 // 1870-01-01
export const LATEST = 84_005 // 2199-12-31

/** @typedef {'birthday' | 'day_after' | 'month_first' | 'next_month_first' | 'year_difference'} Reckoning */
/** @typedef {'mar1' | 'feb28'} LeapDay */
/** @typedef {'same_day' | 'next_day' | 'next_month'} Approval */
/** @typedef {'date' | 'month_end'} Death */
/** @typedef {'period' | 'day' | 'week' | 'month' | 'quarter' | 'year' | 'ever'} Window */

export const RECKONINGS = ['birthday', 'day_after', 'month_first', 'next_month_first', 'year_difference']
export const LEAP_DAYS = ['mar1', 'feb28']
export const APPROVALS = ['same_day', 'next_day', 'next_month']
export const DEATHS = ['date', 'month_end']
export const WINDOWS = ['period', 'day', 'week', 'month', 'quarter', 'year', 'ever']

/**
 * Divide a by b, rounding towards minus infinity as Python's //.
 * @param {number} a
 * @param {number} b
 */
const over = (a, b) => Math.floor(a / b)

/**
 * Return the civil number of a day; the month's length is not checked here.
 * @param {number} year
 * @param {number} month
 * @param {number} day
 */
export function civil(year, month, day) {
  const shifted = month <= 2 ? year - 1 : year
  const era = over(shifted, 400)
  const ofEra = shifted - era * 400
  const ofYear = over(153 * (month > 2 ? month - 3 : month + 9) + 2, 5) + day - 1
  return era * 146_097 + ofEra * 365 + over(ofEra, 4) - over(ofEra, 100) + ofYear - 719_468
}

/**
 * Return the year, month and day of a civil-day number.
 * @param {number} number
 * @returns {[year: number, month: number, day: number]}
 */
export function ymd(number) {
  const shifted = number + 719_468
  const era = over(shifted, 146_097)
  const ofEra = shifted - era * 146_097
  const yearOfEra = over(ofEra - over(ofEra, 1460) + over(ofEra, 36_524) - over(ofEra, 146_096), 365)
  const ofYear = ofEra - (365 * yearOfEra + over(yearOfEra, 4) - over(yearOfEra, 100))
  const shiftedMonth = over(5 * ofYear + 2, 153)
  const day = ofYear - over(153 * shiftedMonth + 2, 5) + 1
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return [era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, day]
}

/** @param {number} year */
export const isLeap = (year) => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)

/**
 * Return 1 for Monday to 7 for Sunday.
 * @param {number} number
 */
export const weekday = (number) => number + 3 - over(number + 3, 7) * 7 + 1

/**
 * Return completed years on a day, negative before birth; `reckoning` says when a year is complete.
 * @param {number} birth
 * @param {number} on
 * @param {Reckoning} reckoning
 * @param {LeapDay} leapDay
 */
export function age(birth, on, reckoning, leapDay) {
  const [born, month, day] = ymd(birth)
  const [year] = ymd(on)
  const years = year - born
  if (reckoning === 'year_difference') return years
  return on >= reached(year, month, day, reckoning, leapDay) ? years : years - 1
}

/**
 * Return the day in (or just after) `year` on which the year's age is reached.
 * @param {number} year
 * @param {number} month
 * @param {number} day
 * @param {Reckoning} reckoning
 * @param {LeapDay} leapDay
 */
function reached(year, month, day, reckoning, leapDay) {
  if (reckoning === 'month_first') return civil(year, month, 1)
  if (reckoning === 'next_month_first') return nextMonth(civil(year, month, 1))
  const missing = month === 2 && day === 29 && !isLeap(year)
  const birthday = !missing ? civil(year, month, day) : leapDay === 'mar1' ? civil(year, 3, 1) : civil(year, 2, 28)
  return reckoning === 'day_after' ? birthday + 1 : birthday
}

/**
 * Return the birthday in a year, as a civil number.
 * @param {number} birth
 * @param {number} year
 * @param {LeapDay} leapDay
 */
export function birthday(birth, year, leapDay) {
  const [, month, day] = ymd(birth)
  return reached(year, month, day, 'birthday', leapDay)
}

/**
 * Count whole months from `since` to `on`; a month that has no such day is whole on its last.
 * @param {number} since
 * @param {number} on
 */
export function wholeMonths(since, on) {
  const [fromYear, fromMonth, fromDay] = ymd(since)
  const [year, month, day] = ymd(on)
  const isLast = ymd(on + 1)[1] !== month
  return (year - fromYear) * 12 + month - fromMonth - (day < fromDay && !isLast ? 1 : 0)
}

/**
 * Return the first day on which an approval of a given day counts.
 * @param {number} approved
 * @param {Approval} approval
 */
export function starts(approved, approval) {
  if (approval === 'same_day') return approved
  return approval === 'next_day' ? approved + 1 : nextMonth(approved)
}

/**
 * Return the first day of the next month.
 * @param {number} day
 */
export function nextMonth(day) {
  const [year, month] = ymd(day)
  return month < 12 ? civil(year, month + 1, 1) : civil(year + 1, 1, 1)
}

/**
 * Return the first day of the window that contains `day`.
 * @param {Window} window
 * @param {number} day
 */
export function firstOf(window, day) {
  if (window === 'day' || window === 'period') return day
  if (window === 'week') return day - weekday(day) + 1
  if (window === 'ever') return 0
  const [year, month] = ymd(day)
  if (window === 'month') return civil(year, month, 1)
  if (window === 'quarter') return civil(year, over(month - 1, 3) * 3 + 1, 1)
  return civil(year, 1, 1)
}

/**
 * Name a window: the civil number of its first day, with the meal period where it is one.
 * @param {Window} window
 * @param {number} day
 * @param {string} period
 */
export const windowName = (window, day, period) =>
  window === 'period' ? `${day}/${period}` : String(firstOf(window, day))
