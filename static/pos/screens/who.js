// Log-in of a cashier: pick a name, type the PIN, and if there are several windows, pick one.

import { unsentWords } from '../model/rows.js'
import { unsent } from '../store/outbox.js'
import { sentence } from './app.js'
import { acts, clone, each, fill, say, show, slot } from './dom.js'
import { pinPad } from './pad.js'

/** @import {App, Screen} from './app.js' */
/** @import {Named} from '../model/types.js' */

/**
 * @param {App} app
 * @returns {Screen}
 */
export function who(app) {
  const root = clone('screen-who')
  /** @type {Named | null} */
  let person = null
  let shown = ''
  const pin = pinPad((typed) => enter(typed))
  slot(root, 'pad').append(pin.element)

  const step = (/** @type {'names' | 'pin' | 'places'} */ name) => {
    for (const each of ['names', 'pin', 'places']) show(root, each, each === name)
    say(root, '')
    pin.clear()
  }

  const pick = (/** @type {Named} */ chosen) => {
    person = chosen
    fill(root, { name: chosen.name })
    step('pin')
  }

  const enter = async (/** @type {string} */ typed) => {
    if (!person) return
    say(root, '正在核对…')
    try {
      await app.left
      const answer = await app.ask('POST', '/api/v1/pos/sessions', { person: person.id, pin: typed })
      await place(answer.person, answer.manager)
    } catch (error) {
      say(root, sentence(error))
    } finally {
      pin.clear()
    }
  }

  const place = async (/** @type {Named} */ known, /** @type {boolean} */ manager) => {
    const points = app.menu?.points ?? []
    if (points.length < 2) return app.begin(known, manager, points[0] ?? null)
    step('places')
    choices(slot(root, 'points'), points, (point) => app.begin(known, manager, point))
  }

  acts(root, {
    others: () => step('names'),
    status: () => app.go('status'),
    again: async () => {
      if (app.unknown) return app.go('enrol')
      if (!(await app.forgetDevice())) say(root, '还有未上传或服务器缺少的记录，不能重新启用。请先在“设备状态”导出，并联系系统运维。')
    },
  })
  say(root, app.ended)
  return {
    root,
    scan: () => say(root, '请先选姓名并输入口令，再扫卡。'),
    refresh: async () => {
      fill(root, { place: app.menu?.canteen.name ?? '还没有载入人员名单，请检查网络。' })
      show(root, 'again', app.shut !== '')
      const people = everyone(app)
      if (shown !== JSON.stringify(people)) choices(slot(root, 'people'), people, pick)
      shown = JSON.stringify(people) // a button under the finger must not be replaced
      const count = await unsent(app.store)
      fill(root, { unsent: count > 0 ? `${unsentWords(count)}，联网后自动上传，不会丢失。` : '' })
    },
  }
}

/** @param {App} app */
function everyone(app) {
  const { cashiers = [], managers = [] } = app.menu ?? {}
  const seen = new Map([...cashiers, ...managers].map((person) => [person.id, person]))
  return [...seen.values()]
}

/**
 * @param {HTMLElement} into
 * @param {Named[]} items
 * @param {(item: Named) => unknown} chosen
 */
function choices(into, items, chosen) {
  each(into, items, 'part-choice', (button, item) => {
    button.textContent = item.name
    button.addEventListener('click', () => chosen(item))
  })
}
