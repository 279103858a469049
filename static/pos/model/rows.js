// What the outbox contains, in words for people.

import { lacks } from './ahead.js'

/** @import {Run} from './ahead.js' */
/** @import {Envelope} from './envelope.js' */
/** @import {Line, Notice, Tender} from './types.js' */

/**
 * @typedef {'waiting' | 'settled' | 'quarantined'} State
 *   waiting      not yet acknowledged by the server: it stays, whatever happens
 *   settled      the server has it booked
 *   quarantined  the server has it stored, and a person must look at it
 * @typedef {{tablet: string, epoch: number, number: number, state: State, envelope: Envelope, summary?: RecordSummary,
 *   made: number, tries: number, settled: number | null, reason: string, message: string, notices?: Notice[]}} Kept
 *   summary  what the screen needs of the record once its body is encrypted
 *   notices  what the server said of its sales
 * @typedef {Kept & {titles: string[]}} Row
 *   titles  who it was for, as the screen said it: kept for the day at most, and not in the row
 * @typedef {{sales: {id: string, due: number, food: string}[], due: number, kind: Tender['kind'], change: number,
 *   cashier: string, undoes: string}} RecordSummary
 *   undoes  the sale that a void takes back
 *   made, settled    the true time as well as the tablet could tell, ms: its clock may have been set right since
 *
 * @typedef {{id: string, title: string, due: number, voided: boolean, notice: string}} SaleShown
 * @typedef {{row: Row, sales: SaleShown[], due: number, kind: Tender['kind'], change: number, cashier: string}} Shown
 */

/** So long an acknowledged record is kept, so that a restored server can be given it again (P33). */
export const KEPT = 45 * 24 * 3600 * 1000

/** @type {Record<Tender['kind'], string>} */
export const KINDS = { cash: '现金', mobile: '手机', free: '免付' }

/**
 * Return the checkouts among `rows`, newest first, with whether each sale was voided.
 * @param {Row[]} rows
 * @returns {Shown[]}
 */
export function checkouts(rows) {
  const voided = new Set(rows.filter(isKind('void')).map((row) => summaryOf(row).undoes))
  return rows
    .filter(isKind('checkout'))
    .map((row) => shown(row, voided))
    .sort((a, b) => b.row.made - a.row.made || b.row.number - a.row.number)
}

/**
 * Say the state of a record in words.
 * @param {Row} row
 * @param {Run[]} [behind]  what the server acknowledged and lacks
 */
export function stateWords(row, behind = []) {
  const { state, tries, message } = row
  if (lacks(behind, row)) return '服务器缺这一笔，待补传'
  if (state === 'settled') return '已上传'
  if (state === 'quarantined') return `已上传，待人工核对：${message || '请联系管理员'}`
  if (message) return `待上传，服务器未接收：${message}`
  return tries > 0 ? '待上传，正在重试' : '待上传'
}

/**
 * Name the persons of a checkout: all of a few, the first of many.
 * @param {string[]} titles
 */
export function names(titles) {
  return titles.length > 3 ? `${titles[0]}等 ${titles.length} 人` : titles.join('、')
}

/**
 * Say the count of unsent records in words.
 * @param {number} count
 * @param {number | null} [owed]  records that the server acknowledged and lacks; null when it is not known to lack any
 */
export function unsentWords(count, owed = null) {
  if (count > 0) return `${count} 笔待上传`
  if (owed === null) return '全部已上传'
  return owed > 0 ? `服务器缺 ${owed} 笔，待补传` : '服务器数据较旧，待修复'
}

/** @param {string} kind */
const isKind = (kind) => (/** @type {Row} */ row) => row.envelope.kind === kind

/**
 * @param {Row} row
 * @param {Set<string>} voided
 * @returns {Shown}
 */
function shown(row, voided) {
  const { sales, undoes, ...paid } = summaryOf(row)
  const notices = new Map((row.notices ?? []).map(({ sale, say }) => [sale, say]))
  return {
    row,
    ...paid,
    sales: sales.map(({ id, due, food }, n) => ({
      id,
      title: row.titles[n] ?? food,
      due,
      voided: voided.has(id),
      notice: voided.has(id) ? '' : (notices.get(id) ?? ''),
    })),
  }
}

/**
 * Return what the screen needs of a record: stored beside it (`summary`) before its body is encrypted, else read from it.
 * @param {{summary?: RecordSummary, envelope: {kind: string, body: string}}} row
 * @returns {RecordSummary}
 */
export function summaryOf({ summary, envelope }) {
  if (summary) return summary
  const { sales = [], payment, cashier = '', sale = '' } = JSON.parse(envelope.body)
  const tender = payment?.tenders[0]
  return {
    sales: sales.map((/** @type {any} */ { id, quote, lines }) => ({ id, due: quote?.due ?? 0, food: foodOf(lines) })),
    due: payment?.due ?? 0,
    kind: tender?.kind ?? 'free',
    change: tender?.change ?? 0,
    cashier,
    undoes: sale,
  }
}

/**
 * Name a sale for which no person's name is stored, by its meals.
 * @param {Line[]} [lines]
 */
function foodOf(lines = []) {
  const food = lines.map(({ name, quantity }) => (quantity > 1 ? `${name} × ${quantity}` : name))
  return food.join('、') || '一份'
}
