// A checkout that is kept: what was taken, what to hand back, and how far its record has come.

import { hour } from '../model/clock.js'
import { show as yuan } from '../model/money.js'
import { checkouts, KINDS, names, stateWords } from '../model/rows.js'
import { find, newest } from '../store/outbox.js'
import { fill, show, slot } from './dom.js'

/** @import {App} from './app.js' */
/** @import {Row, Shown} from '../model/rows.js' */

/**
 * The panel after a sale; it stays until the next scan.
 * @param {App} app
 * @param {HTMLElement} root
 * @param {Row} done
 */
export async function showDone(app, root, done) {
  const [shown] = checkouts([(await find(app.store, done)) ?? done])
  const { row } = shown
  fill(root, {
    doneWho: `${who(shown)} 已完成`,
    doneMoney: shown.due === 0 ? '免付' : `${KINDS[shown.kind]} ${yuan(shown.due)} 元`,
    doneChange: shown.change > 0 ? `找零 ${yuan(shown.change)} 元` : '',
    doneState: row.state === 'waiting' ? '已存在本机，正在上传。' : stateWords(row, app.behind),
  })
  show(root, 'doneChange', shown.change > 0)
  slot(root, 'done').dataset.number = String(row.number)
  slot(root, 'done').dataset.state = row.state
}

/**
 * The checkout before, in one line: after a crash the cashier sees that it is kept and does not take money twice.
 * @param {App} app
 * @param {HTMLElement} root
 */
export async function showLatest(app, root) {
  const row = await newest(app.store)
  if (!row) return fill(root, { latest: '' })
  const [latest] = checkouts([row])
  const words = `上一单 ${hour(row.made)} ${who(latest)} ${yuan(latest.due)} 元，${stateWords(row, app.behind)}`
  fill(root, { latest: words })
}

/** @param {Shown} shown */
const who = ({ sales }) => names(sales.map(({ title }) => title))
