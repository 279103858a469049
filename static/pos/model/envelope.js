// The record that a tablet sends: numbered without gaps, each naming the hash of the one before.
// The server computes the same hash over the same fields (canteen/pos/envelope.py).

/** What the first record of a chain names as the one before it. */
export const FIRST = '0'.repeat(64)
export const VERSION = 1

/**
 * @typedef {{tablet: string, epoch: number, number: number, hash: string}} Chain
 *   the last record of this tablet: number 0 and FIRST before the first one
 * @typedef {{at: string, mono: number, boot: string}} Moment
 * @typedef {'checkout' | 'void' | 'count'} Kind
 * @typedef {{v: number, cipher: 'none' | 'p256', key: string | null, tablet: string, epoch: number, number: number,
 *   prev: string, at: string, mono: number, boot: string, kind: Kind, body: string, hash: string}} Envelope
 *   body  JSON text in clear, or encrypted as `cipher` says; the hash is over the clear text
 */

/**
 * Make the record that follows `chain`.
 * @param {Chain} chain
 * @param {Moment} moment
 * @param {Kind} kind
 * @param {object} content
 * @returns {Promise<Envelope>}
 */
export async function seal(chain, moment, kind, content) {
  const record = {
    v: VERSION,
    cipher: /** @type {const} */ ('none'),
    key: null,
    tablet: chain.tablet,
    epoch: chain.epoch,
    number: chain.number + 1,
    prev: chain.hash,
    ...moment,
    kind,
    body: JSON.stringify(content),
  }
  return { ...record, hash: await hashOf(record) }
}

/**
 * @param {Omit<Envelope, 'hash'>} record
 * @returns {Promise<string>}
 */
export async function hashOf(record) {
  const { v, tablet, epoch, number, prev, at, mono, boot, kind, body } = record
  return sha256([v, tablet, epoch, number, prev, at, mono, boot, kind, await sha256(body)].join('\n'))
}

/**
 * Return the chain to continue with when runs of this tablet's numbers are lost for good. If numbers that `chain` would
 * still give are among them, as after the store was reset, counting restarts in the next epoch. A loss behind the chain
 * changes nothing.
 * @param {Chain} chain
 * @param {{epoch: number, first: number, last: number}[]} lost
 * @returns {Chain}
 */
export function beyondLost(chain, lost) {
  if (!lost.some(({ epoch, last }) => epoch === chain.epoch && last > chain.number)) return chain
  return { ...chain, epoch: Math.max(...lost.map(({ epoch }) => epoch)) + 1, number: 0, hash: FIRST }
}

/**
 * Return the key by which the server names a record in its answer, and the outbox its row.
 * @param {{epoch: number, number: number}} record
 */
export const idOf = ({ epoch, number }) => `${epoch}/${number}`

/**
 * Return the SHA-256 of UTF-8 text, in hex.
 * @param {string} text
 */
export async function sha256(text) {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
