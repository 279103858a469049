// The records that were acknowledged to this tablet, reported to the server at each contact, and those that the server
// then lacks because its database was restored from an older backup.

/**
 * @typedef {{tablet: string, epochs: Record<string, number>}} Marks
 *   the highest number of each epoch that the present incarnation of the server acknowledged
 * @typedef {{epoch: number, first: number, last: number}} Run  numbers of an epoch, both ends included
 * @typedef {{tablet: string, epoch: number, number: number}} Numbered
 */

const MOST_EPOCHS = 8 // that the server listens to

/**
 * Add to `marks` what is acknowledged among `rows`; rows under a former id of this tablet do not count.
 * @param {Marks} marks
 * @param {(Numbered & {state: string})[]} rows
 * @returns {Marks}
 */
export function raised(marks, rows) {
  const epochs = { ...marks.epochs }
  for (const { tablet, epoch, number, state } of rows) {
    if (tablet === marks.tablet && state !== 'waiting') epochs[epoch] = Math.max(number, epochs[epoch] ?? 0)
  }
  return { ...marks, epochs }
}

/**
 * Write the query that reports this to the server, signed with the address; newest epochs first.
 * @param {string} incarnation
 * @param {Marks} marks
 */
export function claim(incarnation, { epochs }) {
  const newest = Object.keys(epochs).map(Number).sort((a, b) => b - a).slice(0, MOST_EPOCHS)
  const runs = newest.map((epoch) => `${epoch}/${epochs[epoch]}`)
  return `incarnation=${encodeURIComponent(incarnation)}&acknowledged=${runs.join()}`
}

/**
 * Tell whether the server lacks a record that it had acknowledged.
 * @param {Run[]} behind
 * @param {{epoch: number, number: number, state: string}} row
 */
export function lacks(behind, { epoch, number, state }) {
  return state !== 'waiting' && behind.some((run) => run.epoch === epoch && run.first <= number && number <= run.last)
}

/**
 * Return the message for the person at the counter.
 * @param {number} owed  records kept here that the server lacks
 */
export function behindWords(owed) {
  const kept = owed > 0 ? `服务器的数据比本机旧，缺本机已上传的 ${owed} 笔` : '服务器的数据比本机旧'
  return `${kept}，请告诉管理员。本机记录都保留着，服务器修复后自动补传；可以照常收银。`
}
