// Encrypt a record's body to the server's key, so that nobody can read what is stored here; only the server can. The
// format, and how the server opens it, is in canteen/pos/cipher.py.

/** @import {Envelope} from './envelope.js' */
/** @import {RecordKey} from './types.js' */

export const ENCRYPTED = 'p256'
const INFO = 'canteen record body 1'
const CURVE = { name: 'ECDH', namedCurve: 'P-256' }

/**
 * Return the same record with its body encrypted. The hash stays: it covers the clear body, and binds the ciphertext.
 * @param {Envelope} envelope  in clear
 * @param {RecordKey} to
 * @returns {Promise<Envelope>}
 */
export async function encrypted(envelope, to) {
  const bytes = new TextEncoder()
  const theirs = fromBase64url(to.point)
  const pair = /** @type {CryptoKeyPair} */ (await crypto.subtle.generateKey(CURVE, false, ['deriveBits']))
  const point = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))
  const server = await crypto.subtle.importKey('raw', theirs, CURVE, false, [])
  const shared = await crypto.subtle.deriveBits({ name: 'ECDH', public: server }, pair.privateKey, 256)
  const base = await crypto.subtle.importKey('raw', shared, 'HKDF', false, ['deriveBits'])
  const info = joined(bytes.encode(INFO), point, theirs)
  const agreed = await crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info }, base, 44 * 8)
  const key = await crypto.subtle.importKey('raw', agreed.slice(0, 32), 'AES-GCM', false, ['encrypt'])
  const how = { name: 'AES-GCM', iv: agreed.slice(32), additionalData: bytes.encode(envelope.hash) }
  const text = new Uint8Array(await crypto.subtle.encrypt(how, key, bytes.encode(envelope.body)))
  return { ...envelope, cipher: ENCRYPTED, key: to.id, body: toBase64url(joined(point, text)) }
}

/** @param {Uint8Array[]} parts */
function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/**
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function toBase64url(bytes) {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** @param {string} text */
function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (one) => one.charCodeAt(0))
}
