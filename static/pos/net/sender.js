// Sending the outbox. One tab sends, under a lock that the browser takes from a dead tab by itself.
// A record leaves the outbox's waiting row only by the server's answer to its own number.

import { wait } from '../model/backoff.js'
import { batches } from '../model/queue.js'
import { mark, settle, waiting } from '../store/outbox.js'
import { Refusal } from './api.js'

/** @import {Store} from '../store/db.js' */
/** @import {Answer} from '../model/types.js' */
/** @import {Row} from '../model/rows.js' */
/** @import {Ask} from './api.js' */

const LOCK = 'canteen-pos-sender'
const PATIENCE = 30_000
const IDLE = 60_000

export class Sender extends EventTarget {
  #channel = new BroadcastChannel('canteen-pos')
  #failures = 0
  #wake = () => {}
  #called = false

  /**
   * @param {Store} store
   * @param {() => Ask} ask
   * @param {() => number} now  the best estimate of the true time
   */
  constructor(store, ask, now) {
    super()
    this.store = store
    this.ask = ask
    this.now = now
    this.#channel.onmessage = () => this.#roused()
  }

  /** Wait for the lock, then send for as long as this tab lives. */
  start() {
    return navigator.locks.request(LOCK, async () => {
      for (;;) await this.#rest(await this.#round().catch((error) => this.#stumbled(error)))
    })
  }

  /** Wake the sending tab: there is something to send, or the line is back. */
  call() {
    this.#channel.postMessage('outbox')
    this.#roused()
  }

  #roused() {
    this.#called = true
    this.#wake()
    this.dispatchEvent(new Event('changed'))
  }

  /** @returns {Promise<number>}  how long to rest, in ms */
  async #round() {
    this.#called = false
    const failures = this.#failures
    for (const rows of batches(await waiting(this.store))) {
      await this.#send(rows)
      if (this.#failures > failures) return wait(this.#failures)
    }
    this.#failures = 0
    const left = batches(await waiting(this.store)).flat()
    return left.length === 0 ? IDLE : wait(Math.min(...left.map((row) => row.tries)))
  }

  /**
   * The tablet's own store failed: its records are sent once it answers again, in this tab.
   * @param {unknown} error
   */
  #stumbled(error) {
    console.error(error)
    this.#failures += 1
    return wait(this.#failures)
  }

  /**
   * Send some records. When the server will not read the batch, each goes alone, so that one
   * that cannot be read does not block the others.
   * @param {Row[]} rows
   */
  async #send(rows) {
    try {
      await this.#settled(rows, await this.#post(rows))
    } catch (error) {
      const unreadable = error instanceof Refusal && !error.passing && ![401, 403].includes(error.status)
      if (!unreadable) this.#failed(error)
      else if (rows.length === 1) await mark(this.store, rows[0], error.message)
      else for (const row of rows) await this.#send([row])
    }
    this.#notify()
  }

  /** @param {Row[]} rows */
  #post(rows) {
    return this.ask()('POST', '/api/v1/records', { records: rows.map((row) => row.envelope) }, PATIENCE)
  }

  /**
   * @param {Row[]} rows
   * @param {{results: Answer[]}} answer
   */
  async #settled(rows, { results }) {
    await settle(this.store, rows, results, this.now())
    if (results.some(({ outcome }) => outcome === 'later')) this.#failures += 1
  }

  /** @param {unknown} error */
  #failed(error) {
    this.#failures += 1
    this.dispatchEvent(new CustomEvent('failed', { detail: error }))
  }

  #notify() {
    this.#channel.postMessage('outbox')
    this.dispatchEvent(new Event('changed'))
  }

  /**
   * Until `ms` have passed or something calls.
   * @param {number} ms
   * @returns {Promise<void>}
   */
  #rest(ms) {
    if (this.#called) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
