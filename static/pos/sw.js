// The shell without a network: every file of one version, or none. The server writes the list of files
// and their common hash in front of this text. Nothing under /api/ is ever served from the cache.

/**
 * @typedef {{version: string, page: string, files: string[]}} Shell
 * @typedef {Event & {waitUntil: (work: Promise<unknown>) => void}} LifeEvent
 * @typedef {Event & {request: Request, respondWith: (answer: Promise<Response>) => void}} AskEvent
 */

const worker = /** @type {any} */ (self)
/** @type {Shell} */
const shell = worker.SHELL
const CACHE = `canteen-pos-${shell.version}`

worker.addEventListener('install', (/** @type {LifeEvent} */ event) => event.waitUntil(fetchAll()))

worker.addEventListener('activate', (/** @type {LifeEvent} */ event) => event.waitUntil(sweepOld()))

worker.addEventListener('message', (/** @type {MessageEvent} */ event) => {
  if (event.data === 'take over') worker.skipWaiting()
})

worker.addEventListener('fetch', (/** @type {AskEvent} */ event) => {
  const name = nameOf(event.request)
  if (name) event.respondWith(kept(name, event.request))
})

async function fetchAll() {
  const cache = await caches.open(CACHE)
  await cache.addAll([shell.page, ...shell.files].map((url) => new Request(url, { cache: 'reload' })))
}

async function sweepOld() {
  const names = await caches.keys()
  await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)))
  await worker.clients.claim()
}

/**
 * Return the cache key of a request; null when it is none of ours.
 * @param {Request} request
 */
function nameOf(request) {
  const { origin, pathname } = new URL(request.url)
  if (request.method !== 'GET' || origin !== location.origin) return null
  if (request.mode === 'navigate') return shell.page
  return shell.files.includes(pathname) ? pathname : null
}

/**
 * @param {string} name
 * @param {Request} request
 */
async function kept(name, request) {
  const cache = await caches.open(CACHE)
  return (await cache.match(name)) ?? fetch(request)
}
