// Numbers that the server acknowledged, stored beside the outbox: the records are deleted after 45 days.

import { claim, raised } from '../model/ahead.js'
import { asked } from './db.js'

/** @import {Store} from './db.js' */
/** @import {Marks, Run} from '../model/ahead.js' */
/** @import {Kept} from '../model/rows.js' */

/**
 * Write the acknowledged numbers as the query of a contact; '' before there is a server.
 * @param {Store} store
 * @returns {Promise<string>}
 */
export function acknowledged(store) {
  return store.run('readwrite', async (settings, outbox) => {
    const tablet = (await asked(settings.get('chain')))?.tablet
    const incarnation = await asked(settings.get('incarnation'))
    if (!tablet || !incarnation) return ''
    /** @type {Marks | undefined} */
    const known = await asked(settings.get('acknowledged'))
    if (known && known.tablet === tablet) return claim(incarnation, known)
    const marks = raised({ tablet, epochs: {} }, await asked(outbox.getAll())) // as an earlier version of this page kept it
    settings.put(marks, 'acknowledged')
    return claim(incarnation, marks)
  })
}

/**
 * Store the numbers of acknowledged rows, in the transaction that stores the server's answers.
 * @param {IDBObjectStore} settings
 * @param {Kept[]} rows
 */
export async function raise(settings, rows) {
  /** @type {Marks | undefined} */
  const marks = await asked(settings.get('acknowledged'))
  if (marks) settings.put(raised(marks, rows), 'acknowledged')
}

/**
 * Forget all acknowledged and missing numbers, in the transaction that marks all records to be sent again.
 * @param {IDBObjectStore} settings
 */
export async function lower(settings) {
  const tablet = (await asked(settings.get('chain')))?.tablet
  if (tablet) settings.put({ tablet, epochs: {} }, 'acknowledged')
  settings.delete('behind')
}

/**
 * Return all acknowledged numbers: a server that does not know this tablet lacks them all.
 * @param {Store} store
 * @returns {Promise<Run[]>}
 */
export function everything(store) {
  return store.run('readonly', async (settings) => {
    /** @type {Marks | undefined} */
    const marks = await asked(settings.get('acknowledged'))
    return Object.entries(marks?.epochs ?? {}).map(([epoch, last]) => ({ epoch: Number(epoch), first: 1, last }))
  })
}

/**
 * Count the records kept here that the server lacks.
 * @param {Store} store
 * @param {Run[]} behind
 * @returns {Promise<number>}
 */
export function owed(store, behind) {
  return store.run('readonly', async (settings, outbox) => {
    const tablet = (await asked(settings.get('chain')))?.tablet
    let count = 0
    for (const { epoch, first, last } of tablet ? behind : []) {
      count += await asked(outbox.count(IDBKeyRange.bound([tablet, epoch, first], [tablet, epoch, last])))
    }
    return count
  })
}
