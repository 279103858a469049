// The screen stays lit at the counter: a tablet that sleeps at noon holds up the queue.

/** @type {WakeLockSentinel | null} */
let held = null

/** Ask that the screen stay on; browsers let go when the page is hidden, so ask again when it is seen. */
export async function stayAwake() {
  if (!navigator.wakeLock || (held && !held.released)) return
  held = await navigator.wakeLock.request('screen').catch(() => null)
}
