// Times as a tablet knows them. The tablet's clock may be wrong; the server's, measured against
// the monotonic clock, shows by how much. Milliseconds throughout.

const SHANGHAI = 8 * 3600 * 1000

/**
 * Write '2026-11-22T11:40:03.123+08:00' in any time zone that the tablet is set to.
 * @param {number} ms  since 1970, UTC
 */
export function stamp(ms) {
  return new Date(ms + SHANGHAI).toISOString().replace('Z', '+08:00')
}

/**
 * Write '11:40' in Asia/Shanghai.
 * @param {number} ms
 */
export function hour(ms) {
  return stamp(ms).slice(11, 16)
}

/**
 * Write '11-22 11:40' in Asia/Shanghai.
 * @param {number} ms
 */
export function minute(ms) {
  return stamp(ms).slice(5, 16).replace('T', ' ')
}

/**
 * Write '2026-11-22' in Asia/Shanghai.
 * @param {number} ms
 */
export function day(ms) {
  return stamp(ms).slice(0, 10)
}

/**
 * @typedef {{server: number, wall: number, mono: number}} Measured
 *   server  the server's time, taken for the middle of the exchange
 *   wall    the tablet's own time then
 *   mono    its monotonic time then
 */

/**
 * Measure the clocks by one exchange with the server.
 * @param {string} at  the server's time, ISO
 * @param {number} sent  monotonic, when the question left
 * @param {number} got  monotonic, when the answer came
 * @param {number} wall  the tablet's clock when the answer came
 * @returns {Measured | null}
 */
export function measure(at, sent, got, wall) {
  const server = Date.parse(at)
  if (Number.isNaN(server)) return null
  const middle = (sent + got) / 2
  return { server, wall: wall - (got - middle), mono: middle }
}

/**
 * Return what must be added to the tablet's clock for the true time; null before any measure.
 *
 * The greater of the two elapsed times counts: a clock set back must not gain time, and the
 * monotonic clock stops while the tablet sleeps.
 * @param {Measured | null} measured
 * @param {number} wall
 * @param {number} mono
 * @returns {number | null}
 */
export function offset(measured, wall, mono) {
  if (!measured) return null
  const elapsed = Math.max(mono - measured.mono, wall - measured.wall)
  return Math.round(measured.server + elapsed - wall)
}
