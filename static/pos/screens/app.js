// State shared by all screens: the tablet's memory, its line to the server, and the open shift.

import { day, offset, stamp } from '../model/clock.js'
import { behindWords } from '../model/ahead.js'
import { unsentWords } from '../model/rows.js'
import { uuid } from '../model/uuid.js'
import { append, dropNames, encryptKept, leaveLost, metIncarnation, sweep, unsent } from '../store/outbox.js'
import { everything, owed } from '../store/acknowledged.js'
import { forget, get, put } from '../store/settings.js'
import { stayAwake } from '../devices/wake.js'
import { asker, Refusal, Unreachable } from '../net/api.js'
import { contact } from '../net/contact.js'
import { Line } from '../net/line.js'
import { Sender } from '../net/sender.js'
import { fill, slot } from './dom.js'
import { closeDialogs } from './dialogs.js'

/** @import {Camera} from '../devices/camera.js' */
/** @import {Store} from '../store/db.js' */
/** @import {Device, Shift} from '../store/settings.js' */
/** @import {Boot, Contact, How, Named} from '../model/types.js' */
/** @import {Run} from '../model/ahead.js' */
/** @import {Kind} from '../model/envelope.js' */

/** After so long without a touch the PIN is asked again. */
const IDLE = 15 * 60 * 1000
const MINUTE = 60 * 1000
/** The server's reasons to refuse this tablet. */
const SHUT = ['tablet_revoked', 'bad_signature', 'tablet_unknown']
/** After so long the menu is loaded again. */
const FRESH = 10 * MINUTE

/**
 * @typedef {{root: HTMLElement, scan?: (text: string, how: How) => void, leave?: () => void,
 *   refresh?: () => void}} Screen
 * @typedef {(app: App) => Screen | Promise<Screen>} MakeScreen
 */

export class App {
  /** Names this load of the page in the records: monotonic times compare only within one. */
  boot = uuid()
  /** @type {Device | null} */
  device = null
  /** @type {Boot | null} */
  menu = null
  /** @type {Shift | null} */
  shift = null
  /** why the server refuses this tablet; '' while it does not */
  shut = ''
  /** whether the server does not know this tablet: it was restored to a time before the enrolment */
  unknown = false
  /** @type {Run[]} numbers that the server acknowledged and lacks: it was restored from an older backup */
  behind = []
  /** why the last shift ended, when the cashier did not end it */
  ended = ''
  /** @type {Screen | null} */
  screen = null
  /** @type {Record<string, MakeScreen>} */
  screens = {}
  /** Until the server has heard that the cashier before left: it must not hear it after the next one came. */
  left = Promise.resolve()
  #touched = Date.now()
  #loaded = 0
  #tabs = new BroadcastChannel('canteen-pos-tablet')

  /**
   * @param {Store} store
   * @param {Camera} camera
   */
  constructor(store, camera) {
    this.store = store
    this.camera = camera
    this.line = new Line({
      ask: () => this.contact,
      known: (menu) => {
        this.#known()
        if (menu && this.menu && menu !== this.menu.menu_version) void this.load()
      },
      refused: (error) => this.#onError(error),
    })
    const heard = { heard: () => this.line.heard(), lost: () => this.line.lost() }
    this.ask = asker(() => this.device, heard, () => this.#itself())
    this.contact = contact(store, () => this.ask, (answer) => this.#met(answer))
    this.sender = new Sender(store, () => this.contact, () => this.now())
    this.sender.addEventListener('changed', () => this.refresh())
    this.sender.addEventListener('failed', (event) => this.#onError(/** @type {CustomEvent} */ (event).detail))
    this.line.addEventListener('turned', () => this.#turned())
    this.#tabs.onmessage = ({ data }) => (data === 'device' ? location.reload() : void this.#follow())
  }

  /** Take up where the tablet was left: after a reload or a crash the same cashier goes on. */
  async start() {
    this.device = (await get(this.store, 'device')) ?? null
    this.menu = (await get(this.store, 'boot')) ?? null
    this.behind = (await get(this.store, 'behind')) ?? []
    await dropNames(this.store, day(Date.now()))
    if (!this.device) return this.go('enrol')
    void this.sender.start()
    void this.line.check()
    void this.load()
    const shift = await get(this.store, 'shift')
    if (shift && this.menu && Date.now() - shift.seen < IDLE) this.shift = shift
    return this.go(this.shift ? 'counter' : 'who')
  }

  /**
   * Show another screen.
   * @param {string} name
   */
  async go(name) {
    this.screen?.leave?.()
    closeDialogs()
    this.screen = null
    const screen = await this.screens[name](this)
    this.screen = screen
    document.getElementById('screen')?.replaceChildren(screen.root)
    document.body.dataset.screen = name
    await this.refresh()
  }

  /** Go back from a screen: to the counter, or without a cashier to the names. */
  async back() {
    const home = !this.device ? 'enrol' : this.shift ? 'counter' : 'who'
    if (document.body.dataset.screen !== home) await this.go(home)
  }

  /**
   * A code was read, wherever the focus is: it leads to the counter, unless a question is open.
   * @param {string} text
   * @param {How} how
   */
  async scanned(text, how) {
    this.touch()
    if (this.shift && !this.screen?.scan && !document.querySelector('dialog[open]')) await this.go('counter')
    this.screen?.scan?.(text, how)
  }

  /** Menu, names and windows of today. Without the network those loaded last serve on. */
  async load() {
    this.#loaded = Date.now()
    try {
      const sent = performance.now()
      /** @type {Boot} */
      const boot = await this.contact('GET', '/api/v1/pos/boot')
      this.line.met(boot.at, sent)
      this.menu = boot
      await put(this.store, { boot })
      await encryptKept(this.store, () => this.otherDevice())
      await dropNames(this.store, day(this.now()))
      await leaveLost(this.store, boot.lost)
      this.#known()
      await this.refresh()
    } catch (error) {
      this.#onError(error)
    }
  }

  /**
   * Someone takes over the counter.
   * @param {Named} person
   * @param {boolean} manager
   * @param {Named | null} point
   */
  async begin(person, manager, point) {
    this.shift = { person, manager, point, seen: Date.now() }
    await put(this.store, { shift: this.shift })
    this.#tabs.postMessage('shift')
    void this.load()
    await this.go('counter')
  }

  /**
   * Log the cashier out. Unsent records stay and are sent on; names stay only if the tablet locked itself.
   * @param {string} [why]  to be shown to the person at the tablet
   */
  async end(why = '') {
    this.shift = null
    this.ended = why
    await forget(this.store, 'shift')
    if (!why) await dropNames(this.store)
    this.#tabs.postMessage('shift')
    this.left = this.ask('DELETE', '/api/v1/pos/sessions').catch(() => undefined)
    await this.go('who')
  }

  /** Prepare a revoked tablet with nothing left to send for a new enrolment; its sales stay stored. */
  async forgetDevice() {
    if ((await unsent(this.store)) > 0 || this.behind.length > 0) return false
    for (const key of /** @type {const} */ (['device', 'chain', 'boot', 'shift', 'incarnation', 'names'])) {
      await forget(this.store, key)
    }
    this.otherDevice()
    location.reload()
    return true
  }

  /** The tablet was enrolled anew, or stores its records in another way: reload tabs with the old state. */
  otherDevice() {
    this.#tabs.postMessage('device')
  }

  /**
   * Write a record to the outbox, and only then set out to send it.
   * @param {Kind} kind
   * @param {object} content
   * @param {string[]} titles
   */
  async keep(kind, content, titles) {
    const made = this.now()
    const moment = { at: stamp(Date.now()), mono: Math.round(performance.now()), boot: this.boot }
    const row = await append(this.store, kind, content, moment, { titles, made })
    this.sender.call()
    return row
  }

  /** Newest number of the chain and the monotonic clock: they prove later when an offline record was made. */
  async #itself() {
    const chain = await get(this.store, 'chain').catch(() => undefined)
    return chain ? `;${chain.epoch};${chain.number};${Math.round(performance.now())};${this.boot}` : ''
  }

  /** Return what a record states about the tablet's clock. */
  clock() {
    return { offset_ms: offset(this.line.measured, Date.now(), performance.now()), boot: this.boot }
  }

  /** Return the best estimate of the true time. */
  now() {
    return Date.now() + (offset(this.line.measured, Date.now(), performance.now()) ?? 0)
  }

  touch() {
    this.#touched = Date.now()
    if (this.shift && this.#touched - this.shift.seen > 60_000) {
      this.shift.seen = this.#touched
      void put(this.store, { shift: this.shift })
    }
  }

  /** Called regularly: lock an unattended tablet, load the new day's menu and its changes. */
  async tick() {
    if (document.visibilityState === 'visible' && this.shift) void stayAwake()
    if (this.shift && Date.now() - this.#touched > IDLE) await this.#lock()
    await dropNames(this.store, day(this.now()))
    if (!this.device || Date.now() - this.#loaded < (this.#newDay() ? MINUTE : FRESH)) return
    await this.load()
    if (this.line.measured) await sweep(this.store, this.now())
  }

  /** Nobody touched this tab for long: lock, unless another tab is being worked on. */
  async #lock() {
    const shift = await get(this.store, 'shift')
    if (shift && Date.now() - shift.seen < IDLE) this.#touched = shift.seen
    else await this.end('平板闲置已锁定，请重新输入口令。')
  }

  /** One cashier per tablet: a log-in or log-out in another tab counts here too. */
  async #follow() {
    const shift = (await get(this.store, 'shift')) ?? null
    if (!this.device || shift?.person.id === this.shift?.person.id) return
    this.shift = shift
    this.touch()
    await this.go(shift ? 'counter' : 'who')
  }

  /** Write the bar anew: place, cashier, line, count of the unsent. */
  async refresh() {
    const bar = document.getElementById('bar')
    if (!bar) return
    const { waiting, owed } = await this.upload()
    this.#notice(owed)
    bar.hidden = !this.shift
    bar.dataset.line = this.line.state
    bar.dataset.unsent = waiting === 0 && owed === null ? 'none' : 'some'
    fill(bar, {
      place: [this.menu?.canteen.name, this.shift?.point?.name].filter(Boolean).join(' · '),
      cashier: this.shift ? `收银员 ${this.shift.person.name}` : '',
      line: { unknown: '正在连接…', online: '网络正常', offline: '网络不通，暂不能查卡' }[this.line.state],
      unsent: unsentWords(waiting, owed),
    })
    for (const button of slot(bar, 'nav').querySelectorAll('button')) {
      button.toggleAttribute('aria-current', button.dataset.act === document.body.dataset.screen)
    }
    this.screen?.refresh?.()
  }

  /** How many records wait, and how many the server acknowledged and lacks: null when it is not known to lack any. */
  async upload() {
    const behind = this.behind.length > 0
    return { waiting: await unsent(this.store), owed: behind ? await owed(this.store, this.behind) : null }
  }

  /** @param {Contact} answer */
  async #met({ incarnation, behind }) {
    if (await metIncarnation(this.store, incarnation)) this.sender.call()
    if (behind) await this.#lacks(behind)
  }

  /** @param {Run[]} behind  numbers that the server acknowledged and lacks */
  async #lacks(behind) {
    if (JSON.stringify(behind) === JSON.stringify(this.behind)) return
    this.behind = behind
    await put(this.store, { behind })
    await this.refresh()
  }

  /** The server accepts this tablet. */
  #known() {
    if (!this.shut) return
    this.shut = ''
    void this.refresh()
  }

  /** @param {number | null} owed */
  #notice(owed) {
    const notice = document.getElementById('notice')
    if (!notice) return
    notice.hidden = !this.shut && owed === null
    if (this.shut) notice.textContent = `${this.shut} 尚未上传的记录都保存在本机，请不要清除浏览器数据。`
    else if (owed !== null) notice.textContent = behindWords(owed)
  }

  #newDay() {
    return this.menu !== null && day(this.now()) !== this.menu.day
  }

  #turned() {
    if (this.line.state === 'online') this.sender.call()
    else void this.refresh()
  }

  /** @param {unknown} error */
  #onError(error) {
    if (error instanceof Unreachable) return
    const shut = error instanceof Refusal && SHUT.includes(error.code) ? error.message : ''
    if (shut === this.shut) return
    this.shut = shut
    this.unknown = error instanceof Refusal && error.code === 'tablet_unknown'
    if (this.unknown) void everything(this.store).then((all) => this.#lacks(all))
    void this.refresh()
  }
}

/** Names of the errors on a full disk: Chromium gives the second when it closes the store. */
const STORE_FAILS = ['QuotaExceededError', 'UnknownError', 'AbortError']

/**
 * Return the message to the cashier about a failure.
 * @param {unknown} error
 */
export function sentence(error) {
  if (error instanceof Refusal) return error.message
  if (error instanceof Unreachable) return '网络不通，暂时办不了。请稍候再试。'
  console.error(error)
  if (error instanceof DOMException && STORE_FAILS.includes(error.name)) return '平板存储空间已满或出错，请清理空间后重新打开浏览器，或联系系统运维。'
  return '平板出错，请重新打开本页后再试；若仍不行，请联系系统运维。'
}
