// Void of a sale: an own one within ten minutes needs no approval, any other a manager's PIN.

import { show as yuan } from '../model/money.js'
import { uuid } from '../model/uuid.js'
import { checkouts } from '../model/rows.js'
import { mayAlone, REASONS, voidBody } from '../model/voids.js'
import { play } from '../devices/sounds.js'
import { since } from '../store/outbox.js'
import { sentence } from './app.js'
import { askPin, choose } from './dialogs.js'

/** @import {App} from './app.js' */
/** @import {SaleShown, Shown} from '../model/rows.js' */
/** @import {Tender} from '../model/types.js' */

/** @typedef {{approved_by: string, approval: string}} Approval */

const A_DAY = 24 * 3600 * 1000 // a clock may be set back that far between a sale and its void

/**
 * @param {App} app
 * @param {Shown} shown
 * @param {SaleShown} sale
 * @returns {Promise<{text: string, kind: 'good' | 'bad'} | null>}  the message; null: the cashier went back
 */
export async function takeBack(app, shown, sale) {
  const cashier = app.shift?.person.id
  if (!cashier) return null
  const title = `作废 ${sale.title} ${yuan(sale.due)} 元`
  const reason = await choose({ title, hint: '为什么作废？' }, REASONS.map((label) => ({ label, value: label })))
  if (reason === null) return null
  try {
    const alone = mayAlone({ cashier: shown.cashier, made: shown.row.made }, cashier, app.now())
    const approval = alone ? undefined : await approved(app, shown, sale)
    if (approval === null) return null
    const kind = await refund(title, shown.kind, sale.due)
    if (kind === null) return null
    if (await undone(app, shown, sale)) return { text: '这一单刚才已经作废，请不要再退款。', kind: 'bad' }
    const what = { id: uuid(), sale: sale.id, cashier, reason, fen: sale.due, kind, approval }
    await app.keep('void', voidBody(what), [sale.title])
    play('done')
    await app.refresh()
    return { text: handBack(kind, sale.due), kind: 'good' }
  } catch (error) {
    play('refused')
    return { text: sentence(error), kind: 'bad' }
  }
}

/**
 * Tell whether the sale was voided meanwhile, in another tab.
 * @param {App} app
 * @param {Shown} shown
 * @param {SaleShown} sale
 */
async function undone(app, { row }, sale) {
  const here = checkouts(await since(app.store, row.made - A_DAY))
  return here.some(({ sales }) => sales.some(({ id, voided }) => id === sale.id && voided))
}

/**
 * @param {Tender['kind']} kind
 * @param {number} fen
 */
function handBack(kind, fen) {
  if (kind === 'cash') return `已作废，请退给顾客现金 ${yuan(fen)} 元。`
  return kind === 'mobile' ? `已作废，${yuan(fen)} 元已从手机退回，不要再退现金。` : '已作废。'
}

/**
 * Ask a manager other than the seller for name and PIN, checked by the server.
 * @param {App} app
 * @param {Shown} shown
 * @param {SaleShown} sale
 * @returns {Promise<Approval | null>}
 */
async function approved(app, { cashier }, sale) {
  const managers = (app.menu?.managers ?? []).filter(({ id }) => id !== cashier)
  const hint = managers.length > 0 ? '超过十分钟，或不是您自己收的，需要负责人同意。' : '需要另一位负责人同意，而这家食堂没有登记，请联系民政部门。'
  const manager = await choose(
    { title: '请负责人确认', hint },
    managers.map((person) => ({ label: person.name, value: person })),
  )
  const pin = manager && (await askPin({ title: `${manager.name}，请输入口令`, hint: '同意作废这一单。' }))
  if (!manager || !pin) return null
  return app.ask('POST', '/api/v1/pos/approvals', { manager: manager.id, pin, sale: sale.id })
}

/**
 * Ask how the money is returned.
 * @param {string} title
 * @param {Tender['kind']} paid
 * @param {number} fen
 * @returns {Promise<Tender['kind'] | null>}
 */
function refund(title, paid, fen) {
  const sum = yuan(fen)
  /** @type {{label: string, value: Tender['kind']}} */
  const cash = { label: `退现金 ${sum} 元，确认作废`, value: 'cash' }
  /** @type {{label: string, value: Tender['kind']}} */
  const mobile = { label: `手机已退 ${sum} 元，确认作废`, value: 'mobile' }
  /** @type {{label: string, value: Tender['kind']}} */
  const free = { label: '确认作废', value: 'free' }
  return choose({ title }, fen === 0 ? [free] : paid === 'mobile' ? [mobile, cash] : [cash])
}
