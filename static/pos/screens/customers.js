// The people at the counter, each with meals and the price line by line.

import { less, more, priceLines, titleOf } from '../model/basket.js'
import { read, show as yuan } from '../model/money.js'
import { acts, each, fill, show, slot } from './dom.js'
import { moneyPad } from './pad.js'

/** @import {Customer} from '../model/basket.js' */
/** @import {MenuItem, QuotedSale} from '../model/types.js' */

/** @typedef {Parameters<typeof showCustomers>[0]} Till */

/**
 * @param {{root: HTMLElement, basket: import('../model/basket.js').Basket, opened: string | null, adding: boolean,
 *   meals: MenuItem[], byAmount: boolean, render: () => void, remove: (key: string) => unknown,
 *   change: (key: string, changes: Partial<Customer>) => unknown}} till
 */
export function showCustomers(till) {
  each(slot(till.root, 'customers'), till.basket.customers, 'part-customer', (part, person) => {
    const n = till.basket.customers.indexOf(person)
    const sale = till.basket.quotes?.sales[n] ?? null
    const open = till.opened === person.key || (till.byAmount ? !person.amount : till.basket.customers.length === 1)
    showFace(part, titleOf(till.basket, n), sale)
    fill(part, { repeat: sale?.repeat ?? '' })
    show(part, 'repeat', Boolean(sale?.repeat))
    show(part, 'open', !open)
    slot(part, 'open').textContent = till.byAmount ? '改金额' : '改餐'
    show(part, 'remove', till.basket.customers.length > 1)
    if (till.byAmount) showAmount(till, part, person, open)
    else showMeals(till, part, person, open)
    if (sale) showLines(part, sale, open)
    if (sale && sale.amount !== 0) showPrice(part, sale)
    answer(till, part, person)
  })
}

/**
 * @param {HTMLElement} part
 * @param {string} title
 * @param {QuotedSale | null} sale
 */
function showFace(part, title, sale) {
  const photo = /** @type {HTMLImageElement} */ (slot(part, 'photo'))
  const url = sale?.diner?.photo
  fill(part, { title, initial: sale?.diner?.initial ?? (sale?.guest ? '客' : '') })
  photo.hidden = !url
  show(part, 'initial', !url)
  if (url) photo.src = url
}

/**
 * @param {Till} till
 * @param {HTMLElement} part
 * @param {Customer} person
 * @param {boolean} open
 */
function showMeals(till, part, person, open) {
  const chosen = new Set(person.lines.map(({ item }) => item))
  each(slot(part, 'menu'), open ? till.meals : [], 'part-meal', (button, item) => {
    fill(button, { name: item.name, fen: item.sold_out ? '已售完' : yuan(item.fen) })
    if (item.sold_out) button.setAttribute('disabled', '')
    button.setAttribute('aria-pressed', String(chosen.has(item.id)))
    button.addEventListener('click', () => take(till, person, item.id))
  })
  show(part, 'more', open && till.meals.length > 0)
  slot(part, 'more').setAttribute('aria-pressed', String(till.adding))
  slot(part, 'more').textContent = till.adding ? '请点要加的餐' : '再加一样'
}

/**
 * @param {Till} till
 * @param {Customer} person
 * @param {string} item
 */
function take(till, person, item) {
  const lines = till.adding ? more(person.lines, item) : [{ item, quantity: 1 }]
  till.adding = false
  return till.change(person.key, { lines })
}

/**
 * @param {Till} till
 * @param {HTMLElement} part
 * @param {Customer} person
 * @param {boolean} open
 */
function showAmount(till, part, person, open) {
  show(part, 'amount', open)
  if (!open) return
  const made = moneyPad({
    enter: person.amount ? '改为这个金额' : '按这个金额算价',
    ready: (typed) => (read(typed) ?? 0) > 0,
    entered: (typed) => {
      till.opened = null
      return till.change(person.key, { amount: read(typed) ?? 0 })
    },
  })
  slot(part, 'amount').replaceChildren(made.element)
}

/**
 * Describe the tray; one usual meal needs no words while it is marked in the menu.
 * @param {HTMLElement} part
 * @param {QuotedSale} sale
 * @param {boolean} open
 */
function showLines(part, { lines }, open) {
  const several = lines.length > 1 || lines.some(({ quantity }) => quantity > 1)
  each(slot(part, 'lines'), several || !open ? lines : [], 'part-line', (row, line) => {
    fill(row, { name: line.quantity > 1 ? `${line.name} × ${line.quantity}` : line.name, fen: yuan(line.fen * line.quantity) })
    row.dataset.item = line.item
    show(row, 'less', several && open)
  })
}

/**
 * @param {HTMLElement} part
 * @param {QuotedSale} sale
 */
function showPrice(part, sale) {
  const total = [
    { label: '原价', fen: sale.quote.list },
    ...priceLines(sale),
    { label: '本人付', fen: sale.quote.due },
  ]
  each(slot(part, 'price'), total, 'part-price', (row, { label, fen, added }) => fill(row, { label, fen: (added ? '+' : '') + yuan(fen) }))
}

/**
 * @param {Till} till
 * @param {HTMLElement} part
 * @param {Customer} person
 */
function answer(till, part, person) {
  acts(part, {
    open: () => {
      till.opened = person.key
      till.render()
    },
    remove: () => till.remove(person.key),
    more: () => {
      till.adding = !till.adding
      till.render()
    },
    less: (button) => {
      const item = button.closest('li')?.dataset.item ?? ''
      const lines = less(person.lines, item)
      return lines.length > 0 ? till.change(person.key, { lines }) : undefined
    },
  })
}
