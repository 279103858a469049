// Canonical JSON: one document, one text. The twin of canteen/policy/canonical.py, which describes the form.

import { problem, Refused, shown } from './refusals.js'

const DEEPEST = 60
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Return the text of a document; its UTF-8 bytes are hashed. Throws Refused `not_canonical` for what the form cannot express.
 * @param {unknown} document
 * @returns {string}
 */
export const canonical = (document) => written(document, '', 0)

/**
 * Return the name of a document: SHA-256 of its canonical bytes, in hex.
 * @param {string | Uint8Array<ArrayBuffer>} body
 * @param {(bytes: Uint8Array<ArrayBuffer>) => Promise<ArrayBuffer>} [sha256]
 * @returns {Promise<string>}
 */
export async function digest(body, sha256 = (bytes) => crypto.subtle.digest('SHA-256', bytes)) {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  return Array.from(new Uint8Array(await sha256(bytes)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * Read a document from canonical bytes. Throws Refused `not_canonical` for any other encoding of it.
 * @param {string | Uint8Array} body
 * @returns {unknown}
 */
export function parse(body) {
  let text, document
  try {
    text = typeof body === 'string' ? body : UTF8.decode(body)
    document = JSON.parse(text)
  } catch {
    throw new Refused(problem('not_canonical', '', '不是规范的 JSON 文本'))
  }
  if (canonical(document) !== text) {
    throw new Refused(problem('not_canonical', '', '不是规范的 JSON 写法，内容可能被改动过'))
  }
  return document
}

/**
 * Compare by code point, ascending: JavaScript itself compares UTF-16, which sorts an emoji before a full-width letter.
 * @param {string} one
 * @param {string} other
 */
export function byCodePoint(one, other) {
  const shorter = Math.min(one.length, other.length)
  for (let at = 0; at < shorter; at++) {
    const [a, b] = [one.charCodeAt(at), other.charCodeAt(at)]
    if (a !== b) return isSurrogate(a) === isSurrogate(b) ? a - b : isSurrogate(a) ? 1 : -1
  }
  return one.length - other.length
}

/** @param {number} unit */
const isSurrogate = (unit) => unit >= 0xd800 && unit <= 0xdfff

/**
 * @param {unknown} value
 * @param {string} path
 * @param {number} depth
 * @returns {string}
 */
function written(value, path, depth) {
  if (depth > DEEPEST) throw new Refused(problem('not_canonical', path, '嵌套过深'))
  if (typeof value === 'string') return writtenText(value, path)
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  if (value === null || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) {
    return `[${value.map((inner, place) => written(inner, `${path}[${place}]`, depth + 1)).join(',')}]`
  }
  if (isRecord(value)) return writtenRecord(value, path, depth)
  throw new Refused(problem('not_canonical', path, '只接受整数，且不超过 2 的 53 次方', shown(value)))
}

/**
 * @param {Record<string, unknown>} value
 * @param {string} path
 * @param {number} depth
 */
function writtenRecord(value, path, depth) {
  const keys = Object.keys(value)
  const strange = keys.find((key) => !/^[\0-\x7f]*$/.test(key))
  if (strange !== undefined) {
    throw new Refused(problem('not_canonical', path, '字段名只能用 ASCII 字符', shown(strange)))
  }
  const fields = keys.sort().map((key) => {
    const inner = written(value[key], path ? `${path}.${key}` : key, depth + 1)
    return `${JSON.stringify(key)}:${inner}`
  })
  return `{${fields.join(',')}}`
}

/**
 * @param {string} text
 * @param {string} path
 */
function writtenText(text, path) {
  // WebKit of older tablets has no isWellFormed
  if (/\p{Surrogate}/u.test(text)) {
    throw new Refused(problem('not_canonical', path, '文字里有残缺的字符（孤立代理项）'))
  }
  return JSON.stringify(text)
}

/**
 * Tell whether a value is a JSON object: no array, no instance of a class.
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export function isRecord(value) {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}
