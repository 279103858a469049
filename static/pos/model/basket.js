// One checkout in the making: the people at the counter, what each takes, and the price the server
// quoted. Every change gives a new basket; a basket without a quote cannot be paid.

/** @import {How, Quotes, QuotedSale, Share, Tender, Wanted} from './types.js' */

/** A checkout has at most so many sales, a sale so many kinds of meals and so many of one kind. */
export const MOST = 10
const KINDS = 20
const PORTIONS = 99

/**
 * @typedef {{key: string, scan: string | null, credential: string | null,
 *   guest: 'guest' | null, how: How, lines: Wanted[], amount: number | null}} Customer
 *   key     made when the person is added; it becomes the sale's id, for ever
 *   amount  what another till rang up (仅核销); null where meals are chosen here
 * @typedef {{customers: Customer[], quotes: Quotes | null, mono: number | null}} Basket
 *   mono    monotonic time at which the quote came
 */

/** @type {Basket} */
export const EMPTY = { customers: [], quotes: null, mono: null }

/**
 * Make a customer of a person who has just been scanned, or of a guest.
 * @param {string} key
 * @param {Partial<Customer>} known
 * @returns {Customer}
 */
export function customer(key, known) {
  return { scan: null, credential: null, guest: null, how: 'none', lines: [], amount: null, ...known, key }
}

/**
 * @param {Basket} basket
 * @param {Customer} person
 * @returns {Basket}
 */
export function add(basket, person) {
  return unpriced([...basket.customers, person])
}

/**
 * @param {Basket} basket
 * @param {string} key
 * @returns {Basket}
 */
export function remove(basket, key) {
  return unpriced(basket.customers.filter((person) => person.key !== key))
}

/**
 * @param {Basket} basket
 * @param {string} key
 * @param {Partial<Customer>} changes
 * @returns {Basket}
 */
export function change(basket, key, changes) {
  return unpriced(basket.customers.map((person) => (person.key === key ? { ...person, ...changes } : person)))
}

/**
 * Return `lines` with one more of `item`, as far as a sale may have it.
 * @param {Wanted[]} lines
 * @param {string} item
 * @returns {Wanted[]}
 */
export function more(lines, item) {
  if (!lines.some((line) => line.item === item)) return lines.length < KINDS ? [...lines, { item, quantity: 1 }] : lines
  return lines.map((line) => (line.item === item ? { ...line, quantity: Math.min(line.quantity + 1, PORTIONS) } : line))
}

/**
 * Return `lines` with one less of `item`.
 * @param {Wanted[]} lines
 * @param {string} item
 * @returns {Wanted[]}
 */
export function less(lines, item) {
  return lines
    .map((line) => (line.item === item ? { ...line, quantity: line.quantity - 1 } : line))
    .filter((line) => line.quantity > 0)
}

/**
 * Return the question to the server. It names the scan once, and afterwards the credential found for it.
 * @param {Basket} basket
 * @param {string} canteen
 */
export function question(basket, canteen) {
  const sales = basket.customers.map(({ scan, credential, guest, how, lines, amount }) => ({
    scan: credential ? null : scan,
    credential,
    guest,
    how,
    mode: 'dine_in',
    ...(amount === null ? { lines } : { amount }),
  }))
  return { canteen, sales }
}

/**
 * Return the basket with the server's answer to `question`.
 * @param {Basket} basket
 * @param {Quotes} quotes
 * @param {number} mono
 * @returns {Basket}
 */
export function priced(basket, quotes, mono) {
  const customers = basket.customers.map((person, n) => {
    return { ...person, credential: quotes.sales[n].credential ?? person.credential }
  })
  return { customers, quotes, mono }
}

/**
 * Return what is to be paid, in fen; null while anyone lacks a price or a meal.
 * @param {Basket} basket
 */
export function due(basket) {
  if (!basket.quotes || basket.customers.length === 0) return null
  if (!basket.customers.every((person) => (person.amount ?? 0) > 0 || person.lines.length > 0)) return null
  return basket.quotes.sales.reduce((sum, { quote }) => sum + quote.due, 0)
}

/**
 * Return the price line by line, for the counter: shares (below zero), and what is added to the menu's price.
 * Only counter-safe labels are shown; parts with the same label are one line.
 * @param {QuotedSale} sale
 * @returns {{label: string, fen: number, added?: boolean}[]}
 */
export function priceLines(sale) {
  /** @type {Map<string, number>} */
  const byLabel = new Map()
  for (const { label, fen } of /** @type {Share[]} */ (sale.quote.shares)) {
    byLabel.set(label, (byLabel.get(label) ?? 0) - fen)
  }
  const added = (sale.quote.surcharges ?? []).map(({ label, fen }) => ({ label: `加收（${label}）`, fen, added: true }))
  return [...[...byLabel].map(([label, fen]) => ({ label, fen })), ...added]
}

/** @type {Record<string, string>} */
const ODD = {
  outside_window: '现在不是供餐时间，这一餐没有补贴。',
  closed_day: '今天不供餐，这一餐没有补贴。',
  no_contract: '食堂今天没有有效协议，这一餐没有补贴，请联系民政部门。',
}

/**
 * Return what is unusual about the time or place, for the cashier; '' when nothing is.
 * @param {Basket} basket
 */
export function notice({ quotes }) {
  return (quotes?.flags ?? []).map((flag) => ODD[flag] ?? '').find(Boolean) ?? ''
}

/**
 * Return the name of the n-th person on the screen.
 * @param {Basket} basket
 * @param {number} n
 */
export function titleOf(basket, n) {
  if (basket.customers[n].guest) return '散客'
  return basket.quotes?.sales[n].diner?.title ?? '正在查卡…'
}

/**
 * Return the body of the record: the quote, unchanged, and how it was paid.
 * @param {Basket} basket  priced
 * @param {Tender} tender
 * @param {{canteen: string, point: string | null, cashier: string, payment: string,
 *   clock: {offset_ms: number | null, boot: string}}} here
 */
export function checkout(basket, tender, here) {
  const { quotes, mono } = basket
  const total = due(basket)
  if (!quotes || total === null) throw new Error('a basket without a price was to be paid')
  const sales = basket.customers.map((person, n) => {
    const { elder, guest, lines, amount, quote, input, input_hash, rulebook, stamp } = quotes.sales[n]
    return {
      id: person.key,
      canteen: here.canteen,
      point: here.point,
      elder,
      credential: person.credential,
      guest,
      how: person.how,
      mode: 'dine_in',
      day: quotes.day,
      period: quotes.period,
      lines,
      amount,
      quote,
      input,
      input_hash,
      rulebook,
      stamp,
      quoted_mono: mono === null ? null : Math.round(mono),
      flags: quotes.flags,
    }
  })
  return {
    sales,
    payment: { id: here.payment, due: total, tenders: [tender] },
    cashier: here.cashier,
    clock: here.clock,
  }
}

/**
 * @param {Customer[]} customers
 * @returns {Basket}
 */
const unpriced = (customers) => ({ customers, quotes: null, mono: null })
