// Data of a tablet besides its records: its identity, its key, the chain's head, what was loaded last.

import { asked } from './db.js'

/** @import {Store} from './db.js' */
/** @import {Boot, Named} from '../model/types.js' */
/** @import {Chain} from '../model/envelope.js' */
/** @import {Marks, Run} from '../model/ahead.js' */
/** @import {Names} from './outbox.js' */

/**
 * @typedef {{id: string, name: string, keys: CryptoKeyPair}} Device
 * @typedef {{person: Named, manager: boolean, point: Named | null, seen: number}} Shift
 *   seen  tablet time of the last touch: a tablet left alone asks for the PIN again
 * @typedef {{device: Device, chain: Chain, boot: Boot, shift: Shift, incarnation: string, enrolling: CryptoKeyPair,
 *   acknowledged: Marks, behind: Run[], names: Names, encrypted: true | 'going' | 'no'}} Settings
 *   encrypted  whether no record in clear is left; 'going' while they are gone through, missing before the first time
 */

/**
 * @template {keyof Settings} K
 * @param {Store} store
 * @param {K} key
 * @returns {Promise<Settings[K] | undefined>}
 */
export function get(store, key) {
  return store.run('readonly', (settings) => asked(settings.get(key)))
}

/**
 * @param {Store} store
 * @param {Partial<Settings>} values
 */
export function put(store, values) {
  return store.run('readwrite', (settings) => {
    for (const [key, value] of Object.entries(values)) settings.put(value, key)
  })
}

/**
 * @param {Store} store
 * @param {keyof Settings} key
 */
export function forget(store, key) {
  return store.run('readwrite', (settings) => {
    settings.delete(key)
  })
}
