// The batches in which waiting records are sent to the server, and the effect of its answers.

import { summaryOf } from './rows.js'

/** @import {Answer, Outcome} from './types.js' */
/** @import {Kept, State} from './rows.js' */

const AT_ONCE = 20

/**
 * The outcomes after which the server has the record; after any other answer the record keeps waiting.
 * @type {Partial<Record<Outcome, State>>}
 */
const KEPT_THERE = { created: 'settled', have: 'settled', kept: 'settled', quarantined: 'quarantined' }

const UNKNOWN = '服务器没有接收这条记录，请联系系统运维。'

/**
 * Batch fresh records together and in order, because the server checks that each follows the one before; a record that
 * was not accepted before is sent alone, after them. A void waits for such a sale: the server would quarantine it.
 * @template {Kept} Row
 * @param {Row[]} rows
 * @returns {Row[][]}
 */
export function batches(rows) {
  const stuck = new Set(rows.filter(({ tries }) => tries > 0).flatMap((row) => summaryOf(row).sales.map(({ id }) => id)))
  const ready = rows.filter((row) => !stuck.has(summaryOf(row).undoes))
  const fresh = ready.filter((row) => row.tries === 0)
  const together = Array.from({ length: Math.ceil(fresh.length / AT_ONCE) }, (_, n) =>
    fresh.slice(n * AT_ONCE, (n + 1) * AT_ONCE),
  )
  return [...together, ...ready.filter((row) => row.tries > 0).map((row) => [row])]
}

/**
 * Return the row as the server's answer leaves it.
 * @param {Kept} row
 * @param {Answer} answer
 * @param {number} now
 * @returns {Kept}
 */
export function answered(row, answer, now) {
  const state = KEPT_THERE[answer.outcome]
  const { reason, message, notices } = answer
  if (state) return { ...row, state, settled: now, reason: reason ?? '', message: message ?? '', notices: notices ?? [] }
  if (answer.outcome === 'later') return row
  return { ...row, tries: row.tries + 1, reason: reason ?? '', message: message || UNKNOWN }
}
