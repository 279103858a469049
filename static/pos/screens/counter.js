// The counter: scan, see the person and the price, take the money with one touch.

import { add, change, customer, due, EMPTY, checkout, MOST, notice, priced, question, remove, titleOf } from '../model/basket.js'
import { menuOf, minuteOfDay, periodAt, PERIODS } from '../model/meals.js'
import { show as yuan } from '../model/money.js'
import { names } from '../model/rows.js'
import { CARD_NAME, read } from '../model/scan.js'
import { uuid } from '../model/uuid.js'
import { Refusal } from '../net/api.js'
import { play } from '../devices/sounds.js'
import { stayAwake } from '../devices/wake.js'
import { sentence } from './app.js'
import { bindBlank, reportLost } from './cards.js'
import { showCustomers } from './customers.js'
import { askNumber, choose, closeDialogs } from './dialogs.js'
import { acts, clone, each, fill, say, show, slot } from './dom.js'
import { showDone, showLatest } from './done.js'
import { showTenders } from './pay.js'
import { markSoldOut } from './soldout.js'

/** @import {App, Screen} from './app.js' */
/** @import {Basket, Customer} from '../model/basket.js' */
/** @import {Row} from '../model/rows.js' */
/** @import {Boot, How, Quotes, Tender} from '../model/types.js' */
/** @import {Shift} from '../store/settings.js' */

const NO_MENU = '这一餐还没有菜单，请联系食堂负责人：在电脑登录后打开“菜单”，加入菜品和价格。'
const ALL_SOLD_OUT = '这一餐的菜都标为售完了。还有的，请点“有菜售完”恢复供应。'

/**
 * @param {App} app
 * @returns {Screen}
 */
export function counter(app) {
  const till = tillOf(app)
  till.open()
  return {
    root: till.root,
    scan: (text, how) => till.scan(text, how),
    leave: () => till.close(),
    refresh: () => till.refresh(),
  }
}

/** @type {WeakMap<object, Till>} by shift: scanned persons stay at the counter while the cashier opens other screens */
const tills = new WeakMap()

/** @param {App} app */
function tillOf(app) {
  const shift = app.shift ?? {}
  const till = tills.get(shift) ?? new Till(app, clone('screen-counter'))
  tills.set(shift, till)
  return till
}

class Till {
  /** @type {Basket} */
  basket = EMPTY
  /** @type {string | null} the person whose meals are being changed */
  opened = null
  /** whether the next meal touched is added rather than taken instead */
  adding = false
  /** whether the next scan joins this checkout */
  joining = false
  /** @type {Row | null} the checkout just done */
  done = null
  #selling = false
  #asked = 0
  #refused = '' // code of the last refusal of a quote
  #priced = EMPTY // the basket as it last had a price
  /** @type {Promise<unknown>} a price being asked for, a record being written: a scan waits for it, and is not lost */
  #pending = Promise.resolve()
  #camera = () => this.#showCamera()

  /**
   * @param {App} app
   * @param {HTMLElement} root
   */
  constructor(app, root) {
    this.app = app
    this.root = root
    acts(root, {
      type: () => this.#type(),
      guest: () => this.#guest(),
      lost: () => this.#lost(),
      another: () => this.#join(),
      drop: () => this.#drop(),
      soldOut: () => this.#soldOut(),
      lamp: () => app.camera.toggleLamp(),
      undo: () => app.go('recent'),
    })
  }

  open() {
    const { camera } = this.app
    slot(this.root, 'viewfinder').prepend(camera.video)
    camera.addEventListener('turned', this.#camera)
    void camera.start()
    void stayAwake()
    this.#showCamera()
    this.render()
  }

  close() {
    this.app.camera.removeEventListener('turned', this.#camera)
    this.app.camera.stop()
    this.done = null
    say(this.root, '')
  }

  /**
   * @param {string} text
   * @param {How} how
   */
  async scan(text, how) {
    const found = read(text, this.#card)
    if (found.kind === 'empty') return
    if (found.kind === 'foreign' || found.kind === 'malformed') return this.#refuse(found.message)
    await this.#pending
    if (this.basket.customers.some((person) => person.scan === found.digits)) return
    closeDialogs()
    if (this.basket.customers.length > 0 && !this.joining && !(await this.#settleFormer())) return
    await this.#admit({ scan: found.digits, how })
  }

  /** Show how far the last stored record has been sent. */
  refresh() {
    void showLatest(this.app, this.root)
    if (this.done) void showDone(this.app, this.root, this.done)
    this.#invite()
  }

  /**
   * Change what a person takes.
   * @param {string} key
   * @param {Partial<Customer>} changes
   */
  async change(key, changes) {
    if (this.#selling) return
    this.basket = change(this.basket, key, changes)
    await this.#quote()
  }

  /** @param {string} key */
  async remove(key) {
    if (this.#selling) return
    this.basket = remove(this.basket, key)
    this.opened = null
    if (this.basket.customers.length === 0) return this.#drop()
    await this.#quote()
  }

  /** @param {Tender} tender */
  async sell(tender) {
    const { shift, menu } = this.app
    if (this.#selling || !shift || !menu || due(this.basket) === null) return
    this.#selling = true
    await (this.#pending = this.#keep(tender, shift, menu))
    this.#selling = false
    this.render()
  }

  /**
   * @param {Tender} tender
   * @param {Shift} shift
   * @param {Boot} menu
   */
  async #keep(tender, shift, menu) {
    const titles = this.basket.customers.map((_, n) => titleOf(this.basket, n))
    const here = {
      canteen: menu.canteen.id,
      point: shift.point?.id ?? null,
      cashier: shift.person.id,
      payment: uuid(),
      clock: this.app.clock(),
    }
    try {
      this.done = await this.app.keep('checkout', checkout(this.basket, tender, here), titles)
      this.#empty()
      play('done')
      say(this.root, '')
    } catch (error) {
      this.#refuse(`没有存下这一单，请再点一次收款。若仍不行，请停止收款并联系系统运维。（${sentence(error)}）`)
    }
  }

  render() {
    const total = due(this.basket)
    const empty = this.basket.customers.length === 0
    show(this.root, 'idle', empty && !this.done)
    show(this.root, 'done', empty && this.done !== null)
    show(this.root, 'another', total !== null && this.basket.customers.length < MOST)
    show(this.root, 'pay', !empty)
    show(this.root, 'notice', notice(this.basket) !== '')
    fill(this.root, { notice: notice(this.basket) })
    this.root.dataset.paying = String(!empty)
    this.root.dataset.busy = String(!empty && !this.basket.quotes)
    slot(this.root, 'another').textContent = this.joining ? '请扫下一位' : '再加一人'
    slot(this.root, 'another').setAttribute('aria-pressed', String(this.joining))
    showCustomers(this)
    showTenders(this, total)
    for (const meal of this.root.querySelectorAll('.menu [aria-pressed="true"]')) meal.scrollIntoView({ block: 'nearest' })
    this.refresh()
  }

  /** @returns {import('../model/types.js').MenuItem[]} */
  get meals() {
    const { menu } = this.app
    if (!menu || menu.canteen.profile === 'partner') return []
    return menuOf(menu.menu, this.basket.quotes?.period ?? this.period)
  }

  get period() {
    return periodAt(this.app.menu?.windows ?? [], minuteOfDay(this.app.now()))
  }

  get byAmount() {
    return this.app.menu?.canteen.profile === 'partner'
  }

  /**
   * One more person at the counter, with the usual meal.
   * @param {Partial<Customer>} known
   */
  async #admit(known) {
    if (this.#selling) return
    if (this.basket.customers.length >= MOST) return this.#refuse(`一单最多 ${MOST} 人，请先收款。`)
    const usual = this.meals.find((meal) => !meal.sold_out)
    if (!usual && !this.byAmount) return this.#refuse(this.meals.length > 0 ? ALL_SOLD_OUT : NO_MENU)
    const food = usual && !this.byAmount ? { lines: [{ item: usual.id, quantity: 1 }] } : { amount: 0 }
    const person = customer(uuid(), { ...known, ...food })
    this.basket = add(this.basket, person)
    this.joining = this.adding = false
    if (await this.#quote()) this.#welcome()
    else if (this.#refused === 'card_unbound' && known.scan) await this.#giveOut(known.scan, known)
  }

  /** A guest; a finger that touched twice meant one. */
  async #guest() {
    if (this.basket.customers.length > 0 && !this.basket.quotes) return
    await this.#admit({ guest: 'guest' })
  }

  /**
   * The card is blank: give it to the person present, and go on with them.
   * @param {string} scan
   * @param {Partial<Customer>} known
   */
  async #giveOut(scan, known) {
    const result = await bindBlank(this.app, scan)
    if (!result) return
    say(this.root, result.text, result.kind)
    if (result.kind === 'good') await this.#admit(known)
  }

  async #soldOut() {
    const wrong = await markSoldOut(this.app, this.meals)
    if (wrong) this.#refuse(wrong)
  }

  async #lost() {
    const result = await reportLost(this.app)
    if (result) say(this.root, result.text, result.kind)
  }

  #welcome() {
    this.opened = null
    this.done = null
    const repeat = this.basket.quotes?.sales.slice(-1)[0].repeat
    play(repeat ? 'already' : 'scanned')
    this.render()
    slot(this.root, 'customers').lastElementChild?.scrollIntoView({ block: 'nearest' })
  }

  /**
   * Ask the price of the basket as it is; on a refusal go back to the one that had a price.
   * @returns {Promise<boolean>}
   */
  #quote() {
    const asking = this.#ask()
    this.#pending = asking
    return asking
  }

  async #ask() {
    const asked = ++this.#asked
    say(this.root, '')
    this.render()
    try {
      /** @type {Quotes} */
      const quotes = await this.app.ask('POST', '/api/v1/pos/quotes', question(this.basket, this.app.menu?.canteen.id ?? ''))
      if (asked !== this.#asked) return false
      this.basket = this.#priced = priced(this.basket, quotes, performance.now())
      this.render()
      return true
    } catch (error) {
      if (asked !== this.#asked) return false
      this.basket = this.#priced
      this.#refused = error instanceof Refusal ? error.code : ''
      if (error instanceof Refusal && error.status === 401) await this.app.end(error.message)
      else this.#refuse(sentence(error))
      if (error instanceof Refusal && error.code === 'item_unknown') void this.app.load()
      return false
    }
  }

  /** Ask what to do with a card that was scanned before the former person paid. */
  async #settleFormer() {
    const { length } = this.basket.customers
    const former = names(this.basket.customers.map((_, n) => titleOf(this.basket, n)))
    const join = { label: length === 1 ? '两人一起付' : `${length + 1} 人一起付`, value: 'join' }
    const replace = { label: '不要上一单，换这一位', value: 'replace' }
    const answer = await choose({ title: `${former} 还没有付款` }, length < MOST ? [join, replace] : [replace])
    if (answer === 'replace') this.#empty()
    return answer !== null
  }

  async #type() {
    const digits = await askNumber()
    if (digits) await this.scan(digits, 'typed')
  }

  #join() {
    this.joining = !this.joining
    this.render()
  }

  #drop() {
    if (this.#selling) return
    this.#pending = Promise.resolve()
    this.#empty()
    say(this.root, '')
    this.render()
  }

  #empty() {
    this.#asked += 1 // a price still being asked for is for nobody any more
    this.basket = this.#priced = EMPTY
    this.opened = null
    this.joining = this.adding = false
  }

  /** @param {string} message */
  #refuse(message) {
    play('refused')
    say(this.root, message)
    this.render()
  }

  get #card() {
    return this.app.menu?.card ?? CARD_NAME
  }

  #invite() {
    const { period } = this
    const meal = this.app.menu?.windows.length ? `现在是${PERIODS[period]}。` : '今天没有设供餐时间。'
    fill(this.root, { invite: `请扫${this.#card}`, today: this.byAmount ? `${meal}扫卡后输入消费金额。` : meal })
    each(slot(this.root, 'served'), this.byAmount ? [] : this.meals, 'part-price', (row, { name, fen, sold_out }) =>
      fill(row, { label: name, fen: sold_out ? '已售完' : yuan(fen) }),
    )
    show(this.root, 'soldOut', !this.byAmount && this.meals.length > 0)
  }

  #showCamera() {
    const { camera } = this.app
    const words = {
      off: '',
      starting: '正在打开摄像头…',
      on: '',
      refused: '摄像头未获允许，请用扫码枪或输入卡号。',
      none: '没有摄像头，请用扫码枪或输入卡号。',
      broken: '摄像头读码不可用，请用扫码枪或输入卡号。',
    }
    fill(this.root, { camera: words[camera.state] })
    show(this.root, 'lamp', camera.lamp)
  }
}
