// Enrolment of a new tablet: by a one-time code; its key is made.

import { makeKeys, publicPoint } from '../net/keys.js'
import { newChain } from '../store/outbox.js'
import { forget, get, put } from '../store/settings.js'
import { sentence } from './app.js'
import { clone, say, slot } from './dom.js'
import { codePad } from './pad.js'

/** @import {App, Screen} from './app.js' */
/** @import {Device} from '../store/settings.js' */

/**
 * @param {App} app
 * @returns {Screen}
 */
export function enrol(app) {
  const root = clone('screen-enrol')
  let busy = false

  const pad = codePad(async (code) => {
    if (busy) return
    busy = true
    say(root, '')
    try {
      await letIn(app, code)
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
 */
async function letIn(app, code) {
  const device = await get(app.store, 'device')
  if (device && app.unknown) return letInAgain(app, device, code)
  if (device) return app.start() // enrolled meanwhile, in another tab
  const keys = await keysToCome(app)
  const { tablet } = await app.ask('POST', '/api/v1/pos/tablets', { code, public_key: await publicPoint(keys) })
  await put(app.store, { device: { ...tablet, keys }, chain: newChain(tablet.id) })
  await forget(app.store, 'enrolling')
  app.otherDevice()
  await app.start()
}

/**
 * Enrol again after the server was restored to an earlier time: key, id and numbers stay, all is sent again.
 * @param {App} app
 * @param {Device} device
 * @param {string} code
 */
async function letInAgain(app, { id, keys }, code) {
  const known = { code, public_key: await publicPoint(keys), tablet: id }
  const { tablet } = await app.ask('POST', '/api/v1/pos/tablets', known)
  await put(app.store, { device: { ...tablet, keys }, incarnation: '' }) // met anew, so that all is sent again
  app.otherDevice()
  location.reload()
}

/**
 * Keep one key for all attempts, also after a reload: the server gives a repeated request the same answer.
 * @param {App} app
 */
async function keysToCome(app) {
  const kept = await get(app.store, 'enrolling')
  if (kept) return kept
  const keys = await makeKeys()
  await put(app.store, { enrolling: keys })
  return keys
}
