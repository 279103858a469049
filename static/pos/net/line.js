// Whether the server can be reached: decided by a request, never by the browser's flag, which
// knows only the router and not the line behind it.

import { measure } from '../model/clock.js'
import { wait } from '../model/backoff.js'

/** @import {Ask} from './api.js' */
/** @import {Measured} from '../model/clock.js' */

const EVERY = 15_000
const PATIENCE = 6_000

/**
 * @typedef {'unknown' | 'online' | 'offline'} LineState
 */

export class Line extends EventTarget {
  /** @type {LineState} */
  state = 'unknown'
  /** @type {Measured | null} */
  measured = null
  #failures = 0
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer

  /**
   * @param {{ask: () => Ask, known: (menu?: string) => void, refused: (error: unknown) => void}} ties
   */
  constructor(ties) {
    super()
    this.ties = ties
    addEventListener('online', () => this.check())
    addEventListener('offline', () => this.check())
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.check())
  }

  heard() {
    this.#failures = 0
    this.#turn('online')
  }

  lost() {
    this.#failures += 1
    this.#turn('offline')
    this.#again(wait(this.#failures))
  }

  /** Ask now, and from now on at intervals. */
  async check() {
    clearTimeout(this.#timer)
    try {
      await this.#ping()
      this.#again(EVERY)
    } catch (error) {
      this.ties.refused(error)
      if (this.state === 'online') this.#again(EVERY)
    }
  }

  async #ping() {
    const sent = performance.now()
    const { at, menu_version } = await this.ties.ask()('GET', '/api/v1/pos/ping', undefined, PATIENCE)
    this.met(at, sent)
    this.ties.known(menu_version)
  }

  /**
   * Learn the server's time from an answer.
   * @param {string} at
   * @param {number} sent  monotonic, when the question left
   */
  met(at, sent) {
    this.measured = measure(at, sent, performance.now(), Date.now()) ?? this.measured
  }

  /** @param {number} ms */
  #again(ms) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.check(), ms)
  }

  /** @param {LineState} state */
  #turn(state) {
    if (this.state === state) return
    this.state = state
    this.dispatchEvent(new Event('turned'))
  }
}
