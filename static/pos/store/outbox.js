// The outbox. Every record is written here before anything else is done with it, and leaves only
// when the server has acknowledged its number and 45 days have passed. The number, the hash of the
// record before and the record itself are one transaction: two tabs never use one number twice.
//
// Bodies are encrypted to the server's key before they are written; beside it is only what the screen needs. The
// eaters' names are stored apart, for the day at most.

import { encrypted } from '../model/cipher.js'
import { day } from '../model/clock.js'
import { FIRST, beyondLost, idOf, seal } from '../model/envelope.js'
import { answered } from '../model/queue.js'
import { KEPT, summaryOf } from '../model/rows.js'
import { lower, raise } from './acknowledged.js'
import { asked } from './db.js'

/** @import {Store} from './db.js' */
/** @import {Answer, Boot, RecordKey} from '../model/types.js' */
/** @import {Chain, Envelope, Kind, Moment} from '../model/envelope.js' */
/** @import {Kept, Row} from '../model/rows.js' */

/**
 * @typedef {{day: string, of: Record<string, string[]>}} Names
 *   names of the eaters of one day, by the records' numbers
 */

const AT_ONCE = 100 // rows read at a time where all are gone through

/** The record could not be written: nothing is sold. */
export class NotKept extends Error {}

/**
 * Number, seal, encrypt and store a record; resolves when it is on the disk and was read back. Without a key to encrypt
 * to (no answer of the server since this version came) it is kept in clear until `encryptKept`.
 * @param {Store} store
 * @param {Kind} kind
 * @param {object} content
 * @param {Moment} moment
 * @param {{titles: string[], made: number}} note
 * @returns {Promise<Row>}
 */
export async function append(store, kind, content, moment, note) {
  for (;;) {
    const { head, to } = await chainHead(store)
    const clear = await seal(head, moment, kind, content)
    const { tablet, epoch, number } = clear
    const [envelope, summary] = [to ? await encrypted(clear, to) : clear, summaryOf({ envelope: clear })]
    /** @type {Kept} */
    const row = { tablet, epoch, number, state: 'waiting', envelope, summary, tries: 0, settled: null, reason: '', message: '', made: note.made }
    if (await placed(store, head, row, note.titles)) return readBack(store, row)
  }
}

/**
 * Begin the chain of a tablet that has just been enrolled.
 * @param {string} tablet
 * @returns {Chain}
 */
export const newChain = (tablet) => ({ tablet, epoch: 1, number: 0, hash: FIRST })

/**
 * Skip numbers that were declared lost.
 * @param {Store} store
 * @param {{epoch: number, first: number, last: number}[]} [lost]  a server of an earlier version does not send them
 */
export function leaveLost(store, lost = []) {
  return store.run('readwrite', async (settings) => {
    /** @type {Chain} */
    const chain = await asked(settings.get('chain'))
    const next = beyondLost(chain, lost)
    if (next !== chain) settings.put(next, 'chain')
  })
}

/**
 * List the records that the server has not acknowledged, oldest first.
 * @param {Store} store
 * @returns {Promise<Row[]>}
 */
export function waiting(store) {
  return store.run('readonly', async (settings, outbox) => named(settings, await asked(outbox.index('state').getAll('waiting'))))
}

/**
 * @param {Store} store
 * @returns {Promise<number>}
 */
export function unsent(store) {
  return store.run('readonly', (_, outbox) => asked(outbox.index('state').count('waiting')))
}

/**
 * List the records made since `from`, oldest first.
 * @param {Store} store
 * @param {number} from
 * @returns {Promise<Row[]>}
 */
export function since(store, from) {
  return store.run('readonly', async (settings, outbox) =>
    named(settings, await asked(outbox.index('made').getAll(IDBKeyRange.lowerBound(from)))),
  )
}

/**
 * Find the last checkout, if there is one: by number, since a clock may be set back between two.
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
      if (cursor.value.envelope.kind === 'checkout') return (await named(settings, [cursor.value]))[0]
      cursor.continue()
    }
  })
}

/**
 * Read the present row.
 * @param {Store} store
 * @param {{tablet: string, epoch: number, number: number}} row
 * @returns {Promise<Row | undefined>}
 */
export function find(store, row) {
  return store.run('readonly', async (settings, outbox) => {
    /** @type {Kept | undefined} */
    const stored = await asked(outbox.get(keyOf(row)))
    return stored && (await named(settings, [stored]))[0]
  })
}

/**
 * List the records that a person must look at.
 * @param {Store} store
 * @returns {Promise<Row[]>}
 */
export function quarantined(store) {
  return store.run('readonly', async (settings, outbox) =>
    named(settings, await asked(outbox.index('state').getAll('quarantined'))),
  )
}

/**
 * Send quarantined records again: the server may be able to read them now.
 * @param {Store} store
 */
export function again(store) {
  return store.run('readwrite', async (_, outbox) => {
    /** @type {Kept[]} */
    const rows = await asked(outbox.index('state').getAll('quarantined'))
    for (const row of rows) outbox.put({ ...row, state: 'waiting' })
  })
}

/**
 * Encrypt every record that is still in clear: those of an earlier version, and those made before the key was known.
 * Hashes and the chain stay the same, so that the server recognises each record.
 * @param {Store} store
 * @param {() => void} begin  called once in a tablet's life, before the first: tabs that run an earlier version cannot
 *   read such records, and one that sends would stop at them
 */
export async function encryptKept(store, begin) {
  const { to, before } = await store.run('readwrite', async (settings) => {
    /** @type {Boot | undefined} */
    const boot = await asked(settings.get('boot'))
    const before = await asked(settings.get('encrypted'))
    if (boot?.record_key && before !== true) settings.put('going', 'encrypted')
    return { to: boot?.record_key, before }
  })
  if (!to || before === true) return
  if (before === undefined) begin()
  for (let rows = await some(store, []); rows.length > 0; rows = await some(store, keyOf(rows[rows.length - 1]))) {
    for (const row of rows) if (inClear(row)) await encryptOne(store, row, to)
  }
  await store.run('readwrite', async (settings) => {
    if ((await asked(settings.get('encrypted'))) === 'going') settings.put(true, 'encrypted')
  })
}

/**
 * Delete the names of the eaters: of past days, or all.
 * @param {Store} store
 * @param {string} [today]  the day the day whose names stay
 */
export function dropNames(store, today) {
  return store.run('readwrite', async (settings) => {
    /** @type {Names | undefined} */
    const names = await asked(settings.get('names'))
    if (names && names.day !== today) settings.delete('names')
  })
}

/**
 * Store the server's answers; a record that it did not name stays unchanged.
 * @param {Store} store
 * @param {Row[]} sent
 * @param {Answer[]} results
 * @param {number} now
 */
export async function settle(store, sent, results, now) {
  const answers = new Map(results.map((answer) => [answer.id, answer]))
  await store.run('readwrite', async (settings, outbox) => {
    /** @type {Kept[]} */
    const rows = []
    for (const row of sent) {
      const answer = answers.get(idOf(row))
      const stored = answer && (await asked(outbox.get(keyOf(row)))) // read again: it may have been encrypted meanwhile
      if (stored) rows.push(answered(stored, answer, now))
    }
    for (const row of rows) outbox.put(row)
    await raise(settings, rows)
  })
}

/**
 * Note that the server refused to read this record; it is kept, and the others are sent.
 * @param {Store} store
 * @param {Row} row
 * @param {string} message
 */
export function mark(store, row, message) {
  return store.run('readwrite', async (_, outbox) => {
    /** @type {Kept | undefined} */
    const stored = await asked(outbox.get(keyOf(row)))
    if (stored?.state === 'waiting') outbox.put({ ...stored, tries: stored.tries + 1, message })
  })
}

/**
 * Mark all stored records to be sent again: another installation answers, or one restored from a backup (P33).
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
    /** @type {Kept[]} */
    const rows = await asked(outbox.getAll())
    for (const row of rows) outbox.put({ ...row, state: 'waiting', settled: null, message: '' })
    return true
  })
}

/**
 * Delete what was acknowledged more than 45 days ago.
 * @param {Store} store
 * @param {number} now
 */
export function sweep(store, now) {
  return store.run('readwrite', async (_, outbox) => {
    /** @type {Kept[]} */
    const old = await asked(outbox.index('made').getAll(IDBKeyRange.upperBound(now - KEPT)))
    for (const row of old) {
      if (row.state === 'settled' && row.settled !== null && row.settled < now - KEPT) outbox.delete(keyOf(row))
    }
  })
}

/**
 * Read the chain's head, and the server's key for encrypting records, if it is known.
 * @param {Store} store
 * @returns {Promise<{head: Chain, to: RecordKey | undefined}>}
 */
async function chainHead(store) {
  const { head, boot } = await store.run('readonly', async (settings) => ({
    head: await asked(settings.get('chain')),
    boot: await asked(settings.get('boot')),
  }))
  if (!head) throw new NotKept('this tablet is not enrolled')
  return { head, to: boot?.record_key }
}

/**
 * Write the record and advance the chain, unless another tab has advanced it since `head` was read.
 * @param {Store} store
 * @param {Chain} head
 * @param {Kept} row
 * @param {string[]} titles
 */
function placed(store, head, row, titles) {
  return store.run('readwrite', async (settings, outbox) => {
    /** @type {Chain} */
    const now = await asked(settings.get('chain'))
    if (now.hash !== head.hash || now.epoch !== head.epoch || now.tablet !== head.tablet) return false
    outbox.add(row) // an existing number would abort the whole
    settings.put({ ...head, number: row.number, hash: row.envelope.hash }, 'chain')
    if (inClear(row)) settings.put('no', 'encrypted')
    /** @type {Names | undefined} */
    const names = await asked(settings.get('names'))
    const today = day(row.made)
    settings.put({ day: today, of: { ...(names?.day === today ? names.of : {}), [idOf(row)]: titles } }, 'names')
    return true
  })
}

/**
 * Return the rows with the names that are still stored.
 * @param {IDBObjectStore} settings
 * @param {Kept[]} rows
 * @returns {Promise<Row[]>}
 */
async function named(settings, rows) {
  /** @type {Names | undefined} */
  const names = await asked(settings.get('names'))
  return rows.map((row) => ({ ...row, titles: names?.of[idOf(row)] ?? [] }))
}

/**
 * Read the next rows after a key.
 * @param {Store} store
 * @param {IDBValidKey} after
 * @returns {Promise<Kept[]>}
 */
function some(store, after) {
  const all = IDBKeyRange.bound(after, [[]], true, true) // of keys [tablet, …]: an array sorts after every text
  return store.run('readonly', (_, outbox) => asked(outbox.getAll(all, AT_ONCE)))
}

/**
 * Tell whether a row contains what only the server should read: a body in clear, or, from an earlier version, names.
 * @param {Kept} row
 */
const inClear = (row) => row.envelope.cipher === 'none' || 'titles' in row

/**
 * @param {Store} store
 * @param {Kept} row
 * @param {RecordKey} to
 */
async function encryptOne(store, row, to) {
  const envelope = row.envelope.cipher === 'none' ? await encrypted(row.envelope, to) : row.envelope
  const summary = summaryOf(row)
  await store.run('readwrite', async (_, outbox) => {
    const stored = await asked(outbox.get(keyOf(row)))
    if (!stored) return
    delete stored.titles
    outbox.put({ ...stored, summary, envelope })
  })
}

/**
 * @param {Store} store
 * @param {Kept} row
 * @returns {Promise<Row>}
 */
async function readBack(store, row) {
  const stored = await find(store, row)
  if (stored?.envelope.hash !== row.envelope.hash) throw new NotKept('the record could not be read back')
  return stored
}

/** @param {{tablet: string, epoch: number, number: number}} row */
const keyOf = ({ tablet, epoch, number }) => [tablet, epoch, number]
