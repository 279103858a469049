// The outbox. Every record is written here before anything else is done with it, and leaves only
// when the server has acknowledged its number and 45 days have passed. Number, hash of the record
// before and the record itself are one transaction: two tabs never give one number twice.
//
// Bodies are encrypted to the server's key before they are written; beside one stands only what the screen needs. Who
// it was for is kept apart, for the day at most.

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
 *   who the records of one day were for, by the records' numbers
 */

const AT_ONCE = 100 // rows read at a time where all are gone through

/** The record could not be written: it is not sold. */
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
    const [envelope, told] = [to ? await encrypted(clear, to) : clear, summaryOf({ envelope: clear })]
    /** @type {Kept} */
    const row = { tablet, epoch, number, state: 'waiting', envelope, told, tries: 0, settled: null, reason: '', message: '', made: note.made }
    if (await placed(store, head, row, note.titles)) return readBack(store, row)
  }
}

/**
 * The chain of a tablet that has just been enrolled.
 * @param {string} tablet
 * @returns {Chain}
 */
export const newChain = (tablet) => ({ tablet, epoch: 1, number: 0, hash: FIRST })

/**
 * Give no number that was declared lost.
 * @param {Store} store
 * @param {{epoch: number, first: number, last: number}[]} [lost]  a server of an earlier version does not tell
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
 * The records that the server has not acknowledged, oldest first.
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
 * The records made since `from`, oldest first.
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
      if (cursor.value.envelope.kind === 'checkout') return (await named(settings, [cursor.value]))[0]
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
  return store.run('readonly', async (settings, outbox) => {
    /** @type {Kept | undefined} */
    const held = await asked(outbox.get(keyOf(row)))
    return held && (await named(settings, [held]))[0]
  })
}

/**
 * The records that a person must look at.
 * @param {Store} store
 * @returns {Promise<Row[]>}
 */
export function quarantined(store) {
  return store.run('readonly', async (settings, outbox) =>
    named(settings, await asked(outbox.index('state').getAll('quarantined'))),
  )
}

/**
 * Hand in again what the server set aside: it may be able to read it now.
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
 * Hashes and the chain stay as they are, so that the server takes each as the one it was.
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
 * Let go of who the records were for: of days gone by, or all.
 * @param {Store} store
 * @param {string} [today]  whose names stay
 */
export function dropNames(store, today) {
  return store.run('readwrite', async (settings) => {
    /** @type {Names | undefined} */
    const names = await asked(settings.get('names'))
    if (names && names.day !== today) settings.delete('names')
  })
}

/**
 * Take note of the server's answers; a record that it did not name stays as it is.
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
      const held = answer && (await asked(outbox.get(keyOf(row)))) // as it stands now: it may have been encrypted meanwhile
      if (held) rows.push(answered(held, answer, now))
    }
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
    /** @type {Kept | undefined} */
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
    /** @type {Kept[]} */
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
    /** @type {Kept[]} */
    const old = await asked(outbox.index('made').getAll(IDBKeyRange.upperBound(now - KEPT)))
    for (const row of old) {
      if (row.state === 'settled' && row.settled !== null && row.settled < now - KEPT) outbox.delete(keyOf(row))
    }
  })
}

/**
 * The chain's head, and the key to which the server wants records encrypted, if it has said.
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
 * Write the record and move the chain on, unless another tab has moved it since `head` was read.
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
 * The rows with the names that are still kept.
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
 * The next rows after a key.
 * @param {Store} store
 * @param {IDBValidKey} after
 * @returns {Promise<Kept[]>}
 */
function some(store, after) {
  const all = IDBKeyRange.bound(after, [[]], true, true) // of keys [tablet, …]: an array sorts after every text
  return store.run('readonly', (_, outbox) => asked(outbox.getAll(all, AT_ONCE)))
}

/**
 * Whether a row holds what only the server should read: a body in clear, or, from an earlier version, names.
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
  const told = summaryOf(row)
  await store.run('readwrite', async (_, outbox) => {
    const held = await asked(outbox.get(keyOf(row)))
    if (!held) return
    delete held.titles
    outbox.put({ ...held, told, envelope })
  })
}

/**
 * @param {Store} store
 * @param {Kept} row
 * @returns {Promise<Row>}
 */
async function readBack(store, row) {
  const held = await find(store, row)
  if (held?.envelope.hash !== row.envelope.hash) throw new NotKept('the record could not be read back')
  return held
}

/** @param {{tablet: string, epoch: number, number: number}} row */
const keyOf = ({ tablet, epoch, number }) => [tablet, epoch, number]
