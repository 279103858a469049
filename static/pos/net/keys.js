// The tablet's key: made and kept in the browser, not exportable. It signs every request.

import { toBase64url } from '../model/cipher.js'
import { sha256 } from '../model/envelope.js'

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256' }
const SHA256 = { name: 'ECDSA', hash: 'SHA-256' }

/** @returns {Promise<CryptoKeyPair>} */
export function makeKeys() {
  return crypto.subtle.generateKey(ECDSA, false, ['sign', 'verify'])
}

/**
 * Return the public key as the server stores it: 65 bytes, an uncompressed point.
 * @param {CryptoKeyPair} keys
 */
export async function publicPoint(keys) {
  return toBase64url(new Uint8Array(await crypto.subtle.exportKey('raw', keys.publicKey)))
}

/**
 * Make the headers that prove which tablet sends the request.
 * @param {{id: string, keys: CryptoKeyPair}} device
 * @param {{method: string, path: string, body: string, at: string}} request
 * @returns {Promise<Record<string, string>>}
 */
export async function signature(device, { method, path, body, at }) {
  const text = [method, path, at, await sha256(body)].join('\n')
  const signed = await crypto.subtle.sign(SHA256, device.keys.privateKey, new TextEncoder().encode(text))
  return { 'X-Tablet': device.id, 'X-Tablet-At': at, 'X-Tablet-Signature': toBase64url(new Uint8Array(signed)) }
}
