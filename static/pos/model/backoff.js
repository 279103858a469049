// How long to wait before trying again.

const FIRST = 1000
const LONGEST = 60_000

/**
 * Double from one second to a minute, spread by up to a quarter so that tablets do not retry together.
 * @param {number} failures  1 after the first
 * @param {number} [chance]  0 to 1
 */
export function wait(failures, chance = Math.random()) {
  const whole = Math.min(LONGEST, FIRST * 2 ** Math.min(Math.max(failures - 1, 0), 10))
  return Math.round(whole * (0.75 + chance / 4))
}
