// Requests to the server. An answer is JSON, a Refusal with a Chinese sentence, or no answer at all: Unreachable.

import { stamp } from '../model/clock.js'
import { signature } from './keys.js'

/** @import {Device} from '../store/settings.js' */

const PATIENCE = 12_000

/** The server refused the request; `message` is for people. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message)
    this.status = status
    this.code = code
  }

  /** Whether the same request may succeed later: the fault is not in the request. */
  get passing() {
    return this.status >= 500 || this.status === 429 || this.status === 408
  }
}

/** No answer arrived; the request may or may not have reached the server. */
export class Unreachable extends Error {}

/**
 * @typedef {(method: string, path: string, content?: object, patience?: number) => Promise<any>} Ask
 */

/**
 * Make a request function that signs with the tablet's key; before enrolment nothing is signed.
 * @param {() => Device | null} device
 * @param {{heard: () => void, lost: () => void}} line  called at each answer, and at each lack of one
 * @param {() => Promise<string>} itself  the state that the tablet sends beside its clock
 * @returns {Ask}
 */
export function asker(device, line, itself) {
  return async (method, path, content, patience = PATIENCE) => {
    const body = content === undefined ? '' : JSON.stringify(content)
    const known = device()
    const state = known ? await itself() : ''
    const signed = known ? await signature(known, { method, path, body, at: stamp(Date.now()) + state }) : {}
    const answer = await send(method, path, body, signed, patience).catch((error) => {
      line.lost()
      throw new Unreachable(String(error))
    })
    line.heard()
    if (answer instanceof Refusal) throw answer
    return answer
  }
}

/**
 * Send a request and read the whole answer; a truncated body counts as no answer.
 * @param {string} method
 * @param {string} path
 * @param {string} body
 * @param {Record<string, string>} signed
 * @param {number} patience
 */
async function send(method, path, body, signed, patience) {
  const giveUp = new AbortController()
  const timer = setTimeout(() => giveUp.abort(), patience)
  try {
    return await sent(method, path, body, signed, giveUp.signal)
  } finally {
    clearTimeout(timer)
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {string} body
 * @param {Record<string, string>} signed
 * @param {AbortSignal} signal
 */
async function sent(method, path, body, signed, signal) {
  const response = await fetch(path, {
    method,
    body: body || null,
    headers: {
      Accept: 'application/json',
      'X-Requested-With': 'canteen-pos',
      ...(body ? { 'Content-Type': 'application/json' } : {}),
      ...signed,
    },
    cache: 'no-store',
    credentials: 'same-origin',
    signal,
  })
  return parsed(await response.text(), response)
}

/**
 * @param {string} text
 * @param {Response} response
 */
function parsed(text, response) {
  const json = /json/.test(response.headers.get('Content-Type') ?? '')
  if (response.status === 204) return null
  if (response.ok && json) return JSON.parse(text) // an answer cut short is none
  if (response.ok) throw new Error('an answer that is not ours') // a hotel's login page, a proxy
  return new Refusal(response.status, ...reasonOf(json ? text : '', response.status))
}

/**
 * @param {string} text
 * @param {number} status
 * @returns {[string, string]}
 */
function reasonOf(text, status) {
  try {
    const problem = JSON.parse(text)
    return [String(problem.code ?? status), String(problem.detail ?? problem.title ?? `服务器答复 ${status}`)]
  } catch {
    return [String(status), status >= 500 ? '服务器暂时不可用，请稍候再试。' : `服务器答复 ${status}，请联系管理员。`]
  }
}
