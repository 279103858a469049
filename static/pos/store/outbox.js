// The outbox. Every record is written here before anything else is done with it, and leaves only
// when the server has acknowledged its number and 45 days have passed. Number, hash of the record
// before and the record itself are one transaction: two tabs never give one number twice.

import { FIRST, idOf, seal } from '../model/envelope.js'
import { answered } from '../model/queue.js'
import { KEPT } from '../model/rows.js'
import { lower, raise } from './acknowledged.js'
import { asked } from './db.js'

/** @import {Store} from './db.js' */
/** @import {Answer} from '../model/types.js' */
/** @import {Chain, Envelope, Kind, Moment} from '../model/envelope.js' */
/** @import {Row} from '../model/rows.js' */

/** The record could not be written: it is not sold. */
export class NotKept extends Error {}

/**
 * Number, seal and store a record; resolves when it is on the disk and was read back.
 * @param {Store} store
 * @param {Kind} kind
 * @param {object} content
 * @param {Moment} moment
 * @param {{titles: string[], made: number}} note
 * @returns {Promise<Row>}
 */
export async function append(store, kind, content, moment, note) {
  for (;;) {
    const head = await chainHead(store)
    const envelope = await seal(head, moment, kind, content)
    const { tablet, epoch, number } = envelope
    /** @type {Row} */
    const row = { tablet, epoch, number, state: 'waiting', envelope, tries: 0, settled: null, reason: '', message: '', ...note }
    if (await placed(store, head, row)) return readBack(store, row)
  }
}

/**
 * The chain of a tablet that has just been enrolled.
 * @param {string} tablet
 * @returns {Chain}
 */
export const newChain = (tablet) => ({ tablet, epoch: 1, number: 0, hash: FIRST })

/**
 * The numbers of this epoch were declared lost while the tablet was away: count anew in the next one.
 * @param {Store} store
 * @param {number[]} lost
 */
export function leaveLost(store, lost) {
  return store.run('readwrite', async (settings) => {
    /** @type {Chain} */
    const chain = await asked(settings.get('chain'))
    if (!lost.includes(chain.epoch)) return
    settings.put({ ...chain, epoch: Math.max(...lost) + 1, number: 0, hash: FIRST }, 'chain')
  })
}

/**
 * The records that the server has not acknowledged, oldest first.
 * @param {Store} store
 * @returns {Promise<Row[]>}
 */
export function waiting(store) {
  return store.run('readonly', (_, outbox) => asked(outbox.index('state').getAll('waiting')))
}

/**
 * @param {Store} store
 * @returns {Promise<number>}
 */
export function unsent(store) {
  return store.run('readonly', (_, outbox) => asked(outbox.index('state').count('waiting')))
}

/**
 * The records made since `from`, oldest first.
 * @param {Store} store
 * @param {number} from
 * @returns {Promise<Row[]>}
 */
export function since(store, from) {
  return store.run('readonly', (_, outbox) => asked(outbox.index('made').getAll(IDBKeyRange.lowerBound(from))))
}

/**
 * The checkout made last, if there is one: the last by number, since a clock may be set back between two.
 * @param {Store} store
 * @returns {Promise<Row | undefined>}
 */
export function newest(store) {
  return store.run('readonly', async (settings, outbox) => {
    /** @type {Chain | undefined} */
    const chain = await asked(settings.get('chain'))
    if (!chain) return
    const request = outbox.openCursor(IDBKeyRange.bound([chain.tablet], [chain.tablet, []]), 'prev')
    for (let cursor = await asked(request); cursor; cursor = await asked(request)) {
      if (cursor.value.envelope.kind === 'checkout') return cursor.value
      cursor.continue()
    }
  })
}

/**
 * The row as it stands now.
 * @param {Store} store
 * @param {{tablet: string, epoch: number, number: number}} row
 * @returns {Promise<Row | undefined>}
 */
export function find(store, row) {
  return store.run('readonly', (_, outbox) => asked(outbox.get(keyOf(row))))
}

/**
 * The records that a person must look at.
 * @param {Store} store
 * @returns {Promise<Row[]>}
 */
export function quarantined(store) {
  return store.run('readonly', (_, outbox) => asked(outbox.index('state').getAll('quarantined')))
}

/**
 * Take note of the server's answers; a record that it did not name stays as it is.
 * @param {Store} store
 * @param {Row[]} sent
 * @param {Answer[]} answers
 * @param {number} now
 */
export async function settle(store, sent, answers, now) {
  const named = new Map(answers.map((answer) => [answer.id, answer]))
  const rows = sent.flatMap((row) => {
    const answer = named.get(idOf(row))
    return answer ? [answered(row, answer, now)] : []
  })
  await store.run('readwrite', async (settings, outbox) => {
    for (const row of rows) outbox.put(row)
    await raise(settings, rows)
  })
}

/**
 * The server would not read this record at all: say so beside it, keep it, let the others pass.
 * @param {Store} store
 * @param {Row} row
 * @param {string} message
 */
export function mark(store, row, message) {
  return store.run('readwrite', async (_, outbox) => {
    /** @type {Row | undefined} */
    const held = await asked(outbox.get(keyOf(row)))
    if (held?.state === 'waiting') outbox.put({ ...held, tries: held.tries + 1, message })
  })
}

/**
 * Another installation answers, or one restored from a backup: all that is kept is sent again (P33).
 * @param {Store} store
 * @param {string} incarnation
 * @returns {Promise<boolean>}  whether it changed
 */
export function metIncarnation(store, incarnation) {
  return store.run('readwrite', async (settings, outbox) => {
    const before = await asked(settings.get('incarnation'))
    if (before === incarnation) return false
    settings.put(incarnation, 'incarnation')
    if (before === undefined) return false
    await lower(settings)
    /** @type {Row[]} */
    const rows = await asked(outbox.getAll())
    for (const row of rows) outbox.put({ ...row, state: 'waiting', settled: null, message: '' })
    return true
  })
}

/**
 * Let go of what was acknowledged more than 45 days ago.
 * @param {Store} store
 * @param {number} now
 */
export function sweep(store, now) {
  return store.run('readwrite', async (_, outbox) => {
    /** @type {Row[]} */
    const old = await asked(outbox.index('made').getAll(IDBKeyRange.upperBound(now - KEPT)))
    for (const row of old) {
      if (row.state === 'settled' && row.settled !== null && row.settled < now - KEPT) outbox.delete(keyOf(row))
    }
  })
}

/**
 * @param {Store} store
 * @returns {Promise<Chain>}
 */
async function chainHead(store) {
  const head = await store.run('readonly', (settings) => asked(settings.get('chain')))
  if (!head) throw new NotKept('this tablet is not enrolled')
  return head
}

/**
 * Write the record and move the chain on, unless another tab has moved it since `head` was read.
 * @param {Store} store
 * @param {Chain} head
 * @param {Row} row
 */
function placed(store, head, row) {
  return store.run('readwrite', async (settings, outbox) => {
    /** @type {Chain} */
    const now = await asked(settings.get('chain'))
    if (now.hash !== head.hash || now.epoch !== head.epoch || now.tablet !== head.tablet) return false
    outbox.add(row) // an existing number would abort the whole
    settings.put({ ...head, number: row.number, hash: row.envelope.hash }, 'chain')
    return true
  })
}

/**
 * @param {Store} store
 * @param {Row} row
 * @returns {Promise<Row>}
 */
async function readBack(store, row) {
  const held = await find(store, row)
  if (held?.envelope.hash !== row.envelope.hash) throw new NotKept('the record could not be read back')
  return held
}

/** @param {{tablet: string, epoch: number, number: number}} row */
const keyOf = ({ tablet, epoch, number }) => [tablet, epoch, number]
