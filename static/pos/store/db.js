// IndexedDB by hand. One connection, opened again when the browser has closed it.

const VERSION = 1

/**
 * @typedef {'settings' | 'outbox'} StoreName
 * @typedef {{run: <T>(mode: IDBTransactionMode, work: Work<T>) => Promise<T>, close: () => void}} Store
 */
/**
 * @template T
 * @typedef {(settings: IDBObjectStore, outbox: IDBObjectStore, tx: IDBTransaction) => T | Promise<T>} Work
 *   may await requests of its transaction only: awaiting anything else ends the transaction
 */

/**
 * @param {string} [name]
 * @returns {Promise<Store>}
 */
export async function openStore(name = 'canteen-pos') {
  /** @type {IDBDatabase | null} */
  let db = await open(name)

  const connection = async () => {
    if (!db) {
      db = await open(name)
    }
    db.onclose = () => (db = null)
    db.onversionchange = () => {
      db?.close()
      db = null
    }
    return db
  }

  return {
    async run(mode, work) {
      try {
        return await transact(await connection(), mode, work)
      } catch (error) {
        if (!(error instanceof DOMException) || error.name !== 'InvalidStateError') throw error
        db = null // closed behind our back, as browsers do to pages in the background
        return transact(await connection(), mode, work)
      }
    },
    close() {
      db?.close()
      db = null
    },
  }
}

/**
 * Wait for the result of one request.
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
export function asked(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/**
 * Wait until the transaction is complete: with strict durability, on the disk.
 * @template T
 * @param {IDBDatabase} db
 * @param {IDBTransactionMode} mode
 * @param {Work<T>} work
 * @returns {Promise<T>}
 */
async function transact(db, mode, work) {
  const tx = db.transaction(['settings', 'outbox'], mode, { durability: 'strict' })
  const complete = new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve(undefined)
    tx.onabort = () => reject(tx.error ?? new DOMException('the transaction was aborted', 'AbortError'))
  })
  complete.catch(() => undefined) // reported below, after the work's own error
  try {
    const result = await work(tx.objectStore('settings'), tx.objectStore('outbox'), tx)
    await complete
    return result
  } catch (error) {
    abort(tx)
    throw error
  }
}

/** @param {IDBTransaction} tx */
function abort(tx) {
  try {
    tx.abort()
  } catch {
    // it had ended already
  }
}

/**
 * @param {string} name
 * @returns {Promise<IDBDatabase>}
 */
function open(name) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, VERSION)
    request.onupgradeneeded = () => upgrade(request.result)
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** @param {IDBDatabase} db */
function upgrade(db) {
  db.createObjectStore('settings')
  const outbox = db.createObjectStore('outbox', { keyPath: ['tablet', 'epoch', 'number'] })
  outbox.createIndex('state', 'state')
  outbox.createIndex('made', 'made')
}
