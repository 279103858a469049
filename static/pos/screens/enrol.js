// A tablet that nobody knows: a one-time code lets it in, and its key is made.

import { makeKeys, publicPoint } from '../net/keys.js'
import { newChain } from '../store/outbox.js'
import { put } from '../store/settings.js'
import { sentence } from './app.js'
import { clone, say, slot } from './dom.js'
import { codePad } from './pad.js'

/** @import {App, Screen} from './app.js' */

/**
 * @param {App} app
 * @returns {Screen}
 */
export function enrol(app) {
  const root = clone('screen-enrol')
  /** @type {Promise<CryptoKeyPair> | null} */
  let keys = null // one key however often the code is tried: the server answers a repeated request alike
  let busy = false

  const pad = codePad(async (code) => {
    if (busy) return
    busy = true
    say(root, '')
    try {
      keys ??= makeKeys()
      await letIn(app, code, await keys)
    } catch (error) {
      say(root, sentence(error))
    } finally {
      busy = false
    }
  })
  slot(root, 'pad').append(pad.element)
  return { root }
}

/**
 * @param {App} app
 * @param {string} code
 * @param {CryptoKeyPair} keys
 */
async function letIn(app, code, keys) {
  const { tablet } = await app.ask('POST', '/api/v1/pos/tablets', { code, public_key: await publicPoint(keys) })
  await put(app.store, { device: { ...tablet, keys }, chain: newChain(tablet.id) })
  await app.start()
}
