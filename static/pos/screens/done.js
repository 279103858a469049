// A stored checkout: the money taken, the change, and how far its record has been sent.

import { hour } from '../model/clock.js'
import { show as yuan } from '../model/money.js'
import { checkouts, KINDS, names, stateWords } from '../model/rows.js'
import { play } from '../devices/sounds.js'
import { find, newest } from '../store/outbox.js'
import { fill, show, slot } from './dom.js'

/** @import {App} from './app.js' */
/** @import {Row, Shown} from '../model/rows.js' */

/**
 * Show the panel after a sale; it stays until the next scan.
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
  showNotice(root, shown)
  slot(root, 'done').dataset.number = String(row.number)
  slot(root, 'done').dataset.state = row.state
}

/**
 * Show the last checkout in one line: after a crash the cashier sees that it is stored and takes no money twice.
 * @param {App} app
 * @param {HTMLElement} root
 */
export async function showLatest(app, root) {
  const row = await newest(app.store)
  if (!row) return fill(root, { latest: '' })
  const [latest] = checkouts([row])
  const notice = latest.sales.some(({ notice }) => notice !== '') ? '；有补贴不能申报，请看今日记录' : ''
  const words = `上一单 ${hour(row.made)} ${who(latest)} ${yuan(latest.due)} 元，${stateWords(row, app.behind)}${notice}`
  fill(root, { latest: words })
  slot(root, 'latest').dataset.notice = String(notice !== '')
}

/**
 * Show what cannot be claimed of the last sale, as soon as the server says so.
 * @param {HTMLElement} root
 * @param {Shown} shown
 */
function showNotice(root, { sales }) {
  const noticed = sales.filter(({ notice }) => notice !== '')
  const notice = noticed.map(({ title, notice }) => (sales.length > 1 ? `${title}：${notice}` : notice)).join('')
  const before = slot(root, 'doneNotice').textContent
  if (notice && notice !== before) play('already')
  fill(root, { doneNotice: notice })
  show(root, 'doneNotice', notice !== '')
}

/** @param {Shown} shown */
const who = ({ sales }) => names(sales.map(({ title }) => title))
