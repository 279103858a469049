// The state of this tablet, for the person who maintains it.

import { askToKeep } from '../devices/storage.js'
import { minute } from '../model/clock.js'
import { names, stateWords, unsentWords } from '../model/rows.js'
import { again, encryptKept, quarantined, waiting } from '../store/outbox.js'
import { get } from '../store/settings.js'
import { acts, clone, each, fill, say, show, slot } from './dom.js'
import { updateWaits, takeUpdate } from './update.js'

/** @import {App, Screen} from './app.js' */

/**
 * @param {App} app
 * @returns {Screen}
 */
export function status(app) {
  const root = clone('screen-status')
  acts(root, {
    send: async () => {
      say(root, '正在上传…', 'good')
      await app.line.check()
      await again(app.store)
      app.sender.call()
      say(root, app.line.state === 'online' ? '已通知上传。' : '网络不通，联网后会自动上传。', 'good')
    },
    export: () => exportWaiting(app, root),
    update: () => takeUpdate(),
    back: () => app.back(),
  })
  show(root, 'back', !app.shift)
  return { root, refresh: () => refresh(app, root) }
}

/**
 * @param {App} app
 * @param {HTMLElement} root
 */
async function refresh(app, root) {
  const facts = await factsOf(app)
  each(slot(root, 'facts'), facts, 'part-price', (row, [label, fen]) => fill(row, { label, fen }))
  const unaccepted = [...(await quarantined(app.store)), ...(await waiting(app.store)).filter(({ message }) => message)]
  show(root, 'unaccepted', unaccepted.length > 0)
  each(slot(root, 'unacceptedRows'), unaccepted, 'part-item', (item, row) => {
    const which = [`第 ${row.epoch}/${row.number} 号`, minute(row.made), names(row.titles)].filter(Boolean).join('，')
    item.textContent = `${which}：${stateWords(row, app.behind)}`
  })
  show(root, 'update', await updateWaits())
}

/**
 * @param {App} app
 * @returns {Promise<[string, string][]>}
 */
async function factsOf(app) {
  const { persisted, free } = await askToKeep()
  const chain = await get(app.store, 'chain')
  const { offset_ms } = app.clock()
  const upload = await app.upload()
  return [
    ['平板', app.device ? `${app.device.name}（${app.device.id.slice(0, 8)}）` : '未启用'],
    ['待上传', unsentWords(upload.waiting, upload.owed)],
    ['最近一条编号', chain ? `${chain.epoch}/${chain.number}` : '无'],
    ['网络', { unknown: '正在连接', online: '正常', offline: '不通' }[app.line.state]],
    ['记录保存', keepingWords(persisted)],
    ['剩余空间', free === null ? '浏览器未告知' : `${Math.floor(free / 1_048_576)} 兆`],
    ['安全连接', isSecureContext ? '是' : '否，请改用 https 网址'],
    ['摄像头', { off: '未打开', starting: '正在打开', on: '正常', refused: '未获允许', none: '没有', broken: '读码不可用' }[app.camera.state]],
    ['平板时钟', clockWords(offset_ms)],
  ]
}

/** @param {boolean | null} persisted */
function keepingWords(persisted) {
  if (persisted === null) return '浏览器不支持长期保存，请更换浏览器'
  return persisted ? '已允许长期保存' : '浏览器未允许长期保存，请把本页添加到主屏幕'
}

/** @param {number | null} offset  ms to be added */
function clockWords(offset) {
  if (offset === null) return '尚未与服务器核对'
  const seconds = Math.round(Math.abs(offset) / 1000)
  if (seconds < 120) return '准确'
  return `${offset > 0 ? '慢' : '快'} ${Math.round(seconds / 60)} 分钟，请在系统设置中校准`
}

/**
 * Export unsent records, encrypted as stored, to a file that can be brought to the server by other means.
 * @param {App} app
 * @param {HTMLElement} root
 */
async function exportWaiting(app, root) {
  await encryptKept(app.store, () => app.otherDevice())
  const all = await waiting(app.store)
  const rows = all.filter(({ envelope }) => envelope.cipher !== 'none')
  const text = JSON.stringify({ records: rows.map((row) => row.envelope) })
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  link.download = `records-${app.device?.id.slice(0, 8)}-${Date.now()}.json`
  link.click()
  URL.revokeObjectURL(link.href)
  const rest = all.length - rows.length
  const left = rest > 0 ? `另有 ${rest} 笔要联网一次后才能导出。` : ''
  say(root, `已导出 ${rows.length} 笔；${left}本机仍保留，联网后照常上传。`, rest > 0 ? 'bad' : 'good')
}
