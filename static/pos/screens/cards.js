// Cards at the counter: a blank one is given to the elder present, a lost one stops at once.
// The elder is found by the ID number on their own document; it is typed here and stored nowhere.

import { play } from '../devices/sounds.js'
import { sentence } from './app.js'
import { askIdNumber } from './dialogs.js'

/** @import {App} from './app.js' */

/** @typedef {{text: string, kind: 'good' | 'bad'} | null} CardResult */

/**
 * Bind a blank card that was just scanned to an elder.
 * @param {App} app
 * @param {string} scan
 * @returns {Promise<CardResult>}  null: the cashier went back
 */
export async function bindBlank(app, scan) {
  const words = { title: '这是一张空白卡', hint: '请看老人的身份证，输入号码，把这张卡登记给他。原来的卡会停用。' }
  const number = await askIdNumber(words, '登记给他')
  if (!number) return null
  return resultOf(async () => {
    const { title, cards } = await app.ask('POST', '/api/v1/pos/cards/bindings', { scan, id_number: number })
    return `已把 ${cards[0]} 号卡登记给${title}。`
  })
}

/**
 * Stop the cards of an elder who lost them.
 * @param {App} app
 * @returns {Promise<CardResult>}
 */
export async function reportLost(app) {
  const words = { title: '挂失', hint: '请看老人的身份证，输入号码。他手上的卡立即停用，找到后可以恢复。' }
  const number = await askIdNumber(words, '立即停用')
  if (!number) return null
  return resultOf(async () => {
    const { title, cards } = await app.ask('POST', '/api/v1/pos/cards/losses', { id_number: number })
    return `${title}的卡（${cards.join('、')}）已挂失。补卡请扫一张空白卡。`
  })
}

/**
 * @param {() => Promise<string>} act
 * @returns {Promise<CardResult>}
 */
async function resultOf(act) {
  try {
    const text = await act()
    play('done')
    return { text, kind: 'good' }
  } catch (error) {
    play('refused')
    return { text: sentence(error), kind: 'bad' }
  }
}
