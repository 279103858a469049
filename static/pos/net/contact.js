// A contact with the server: the tablet sends which records were acknowledged, and learns whether the server still has them.

import { acknowledged } from '../store/acknowledged.js'

/** @import {Store} from '../store/db.js' */
/** @import {Ask} from './api.js' */
/** @import {Contact} from '../model/types.js' */

/**
 * Make a way to ask that also reports and learns. The report is in the query of the address, which is signed.
 * @param {Store} store
 * @param {() => Ask} ask
 * @param {(answer: Contact) => Promise<void>} met  called with each answer before it is used
 * @returns {Ask}
 */
export function contact(store, ask, met) {
  return async (method, path, content, patience) => {
    const query = await acknowledged(store)
    const answer = await ask()(method, query ? `${path}?${query}` : path, content, patience)
    await met(answer)
    return answer
  }
}
