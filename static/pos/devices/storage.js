// The browser's promise to keep the tablet's records.

/** @typedef {{persisted: boolean | null, free: number | null}} Keeping */

/**
 * Ask the browser never to clear this tablet's data by itself; return its answer.
 * @returns {Promise<Keeping>}  null: the browser does not say
 */
export async function askToKeep() {
  const storage = navigator.storage
  if (!storage?.persist) return { persisted: null, free: null }
  const persisted = (await storage.persisted()) || (await storage.persist())
  const { quota, usage } = await storage.estimate()
  return { persisted, free: quota === undefined ? null : quota - (usage ?? 0) }
}
