// The checkouts of a day on this tablet, today's first, and the void of a sale.

import { day, hour } from '../model/clock.js'
import { show as yuan } from '../model/money.js'
import { checkouts, KEPT, KINDS, stateWords } from '../model/rows.js'
import { since } from '../store/outbox.js'
import { acts, clone, each, fill, say, show, slot } from './dom.js'
import { takeBack } from './void.js'

/** @import {App, Screen} from './app.js' */
/** @import {SaleShown, Shown} from '../model/rows.js' */

const A_DAY = 24 * 3600 * 1000

/**
 * @param {App} app
 * @returns {Screen}
 */
export function recent(app) {
  const root = clone('screen-recent')
  let shown = ''
  let ago = 0 // days
  const refresh = async () => {
    const wanted = day(app.now() - ago * A_DAY)
    const rows = await since(app.store, app.now() - (ago + 1) * A_DAY)
    const list = checkouts(rows).filter(({ row }) => day(row.made) === wanted)
    fill(root, { title: ago === 0 ? '今日记录' : `${wanted} 的记录` })
    show(root, 'later', ago > 0)
    show(root, 'earlier', ago * A_DAY < KEPT)
    const sold = wanted + list.map(({ row, sales }) => `${row.epoch}/${row.number} ${sales.map(({ voided }) => voided)}`).join()
    if (sold !== shown) showRows(app, root, list)
    else showStates(app, root, list) // a button under the finger must not be replaced
    shown = sold
  }
  const turn = (/** @type {number} */ days) => {
    ago += days
    say(root, '')
    return refresh()
  }
  acts(root, { earlier: () => turn(1), later: () => turn(-1) })
  return { root, refresh }
}

/**
 * @param {App} app
 * @param {HTMLElement} root
 * @param {Shown[]} list
 */
function showRows(app, root, list) {
  const unvoided = list.flatMap(({ sales }) => sales).filter(({ voided }) => !voided)
  const total = unvoided.reduce((sum, { due }) => sum + due, 0)
  fill(root, { sum: `共 ${unvoided.length} 份，实收 ${yuan(total)} 元。` })
  each(slot(root, 'rows'), list, 'part-record', (part, shown) => {
    fill(part, {
      at: hour(shown.row.made),
      paid: `${KINDS[shown.kind]} ${yuan(shown.due)} 元`,
    })
    each(slot(part, 'sales'), shown.sales, 'part-sale', (line, sale) => showSale(app, root, line, shown, sale))
  })
  showStates(app, root, list)
}

/**
 * Show how far each checkout has been sent, and the server's messages about its sales.
 * @param {App} app
 * @param {HTMLElement} root
 * @param {Shown[]} list  in their present state
 */
function showStates(app, root, list) {
  for (const [n, part] of [...slot(root, 'rows').children].entries()) {
    fill(part, { state: stateWords(list[n].row, app.behind) })
    part.setAttribute('data-state', list[n].row.state)
    for (const [m, line] of [...slot(part, 'sales').children].entries()) {
      const { notice } = list[n].sales[m]
      fill(line, { notice })
      show(line, 'notice', notice !== '')
    }
  }
}

/**
 * @param {App} app
 * @param {HTMLElement} root
 * @param {HTMLElement} line
 * @param {Shown} shown
 * @param {SaleShown} sale
 */
function showSale(app, root, line, shown, sale) {
  fill(line, { title: sale.title, due: `${yuan(sale.due)} 元` })
  line.dataset.voided = String(sale.voided)
  const button = /** @type {HTMLButtonElement} */ (line.querySelector('button'))
  button.disabled = sale.voided
  if (sale.voided) button.textContent = '已作废'
  acts(line, {
    void: async () => {
      const said = await takeBack(app, shown, sale)
      if (said) say(root, said.text, said.kind)
    },
  })
}
