// Problems of a document that the engine cannot accept. The twin of canteen/policy/refusals.py.

/**
 * One thing wrong with a document; `path` is like `stages[0].rules[2].label`.
 * @typedef {{code: string, path: string, message: string, found: string, expected: string}} Problem
 */

/**
 * @param {string} code
 * @param {string} path
 * @param {string} message
 * @param {string} [found]
 * @param {string} [expected]
 * @returns {Problem}
 */
export const problem = (code, path, message, found = '', expected = '') => ({ code, path, message, found, expected })

/** Thrown for a document that is not valid; it has the first problem. */
export class Refused extends Error {
  /** @param {Problem} first */
  constructor(first) {
    super(`${first.code} at ${first.path || '(root)'}`)
    this.name = 'Refused'
    this.code = first.code
    this.path = first.path
    this.problem = first
  }
}

/**
 * Shorten any value to fit a message.
 * @param {unknown} value
 */
export function shown(value) {
  const text = [...(typeof value === 'string' ? value : written(value))]
  const clean = text.slice(0, 60).map((mark) => (/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(mark) ? mark : '?'))
  return clean.join('') + (text.length > clean.length ? '…' : '')
}

/** @param {unknown} value */
function written(value) {
  if (typeof value !== 'object') return String(value)
  return JSON.stringify(value, (_key, inner) => (typeof inner === 'bigint' ? String(inner) : inner))
}

/**
 * Look up a name. Throws Refused `unknown_name` where it leads nowhere.
 * @template T
 * @param {Map<string, T>} known
 * @param {string} name
 * @returns {T}
 */
export function lookUp(known, name) {
  const found = known.get(name)
  if (found !== undefined) return found
  throw new Refused(problem('unknown_name', '', '引用了没有定义的名称', name, '先在文件里定义它'))
}
