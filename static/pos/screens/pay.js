// Taking the money: one touch for the phone, one for cash with its change, one where nothing is due.

import { cash, free, mobile, suggest } from '../model/change.js'
import { brief, read, show as yuan } from '../model/money.js'
import { askMoney, askReference } from './dialogs.js'
import { clone, fill, slot } from './dom.js'

/** @import {Basket} from '../model/basket.js' */
/** @import {Tender} from '../model/types.js' */

/** @typedef {{root: HTMLElement, basket: Basket, byAmount: boolean, sell: (tender: Tender) => unknown}} Till */
/** @typedef {{kind: string, label: string, sum: string, note?: string, act: () => unknown}} Button */

/**
 * @param {Till} till
 * @param {number | null} total  fen
 */
export function showTenders(till, total) {
  const waiting = till.byAmount && till.basket.quotes ? '请输入消费金额' : '正在算价…'
  const sales = till.basket.quotes?.sales ?? []
  fill(till.root, {
    due: total === null ? '' : `${yuan(total)} 元`,
    state: total === null ? waiting : sales.length > 1 ? `${sales.length} 人一起付` : '',
    say: total !== null && sales.length === 1 ? sales[0].say : '', // upright, where there is room beside the lines
  })
  const buttons = total === null ? [] : total === 0 ? [nothing(till)] : due(till, total)
  slot(till.root, 'tenders').replaceChildren(...buttons.map(made))
}

/**
 * @param {Till} till
 * @returns {Button}
 */
const nothing = (till) => ({ kind: 'free', label: '免付，确认用餐', sum: '', act: () => till.sell(free()) })

/**
 * @param {Till} till
 * @param {number} total
 * @returns {Button[]}
 */
function due(till, total) {
  const [exact, ...rounds] = suggest(total)
  const given = (/** @type {number} */ sum) => {
    const tender = cash(total, sum)
    return tender && till.sell(tender)
  }
  return [
    { kind: 'mobile', label: '手机已到账', sum: yuan(total), act: () => till.sell(mobile(total)) },
    { kind: 'cash', label: '现金，正好', sum: yuan(exact), act: () => given(exact) },
    ...rounds.map((sum) => ({
      kind: 'round',
      label: `收 ${brief(sum)}`,
      sum: '',
      note: `找 ${yuan(sum - total)}`,
      act: () => given(sum),
    })),
    { kind: 'other', label: '其他现金', sum: '', act: () => other(till, total) },
    { kind: 'other', label: '记流水号', sum: '', act: () => noted(till, total) },
  ]
}

/**
 * @param {Till} till
 * @param {number} total
 */
async function other(till, total) {
  const ready = (/** @type {string} */ typed) => cash(total, read(typed) ?? -1) !== null
  const typed = await askMoney({ title: `应付 ${yuan(total)} 元`, hint: '收到现金多少？' }, ready, '收款')
  const tender = typed === null ? null : cash(total, read(typed) ?? -1)
  if (tender) await till.sell(tender)
}

/**
 * @param {Till} till
 * @param {number} total
 */
async function noted(till, total) {
  const reference = await askReference()
  if (reference !== null) await till.sell(mobile(total, reference))
}

/** @param {Button} button */
function made({ kind, label, sum, note = '', act }) {
  const element = clone('part-tender')
  fill(element, { label, sum, note })
  element.dataset.kind = kind
  element.addEventListener('click', () => act())
  return element
}
