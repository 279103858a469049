// Keeps the screen on at the counter: a tablet that sleeps at noon delays the queue.

/** @type {WakeLockSentinel | null} */
let lock = null

/** Keep the screen on; browsers release the lock when the page is hidden, so ask again when it is visible. */
export async function stayAwake() {
  if (!navigator.wakeLock || (lock && !lock.released)) return
  lock = await navigator.wakeLock.request('screen').catch(() => null)
}
