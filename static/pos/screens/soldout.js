// A dish that is sold out, or on sale again: every tablet of the canteen hears of it.

import { choose } from './dialogs.js'
import { sentence } from './app.js'

/** @import {App} from './app.js' */
/** @import {MenuItem} from '../model/types.js' */

/**
 * Ask which dish, tell the server, and load the menu anew.
 * @param {App} app
 * @param {MenuItem[]} meals
 * @returns {Promise<string>}  what went wrong, '' for nothing
 */
export async function markSoldOut(app, meals) {
  const title = '哪一样卖完了？点已售完的恢复供应。'
  const choices = meals.map((meal) => ({ label: meal.sold_out ? `${meal.name}（已售完）` : meal.name, value: meal }))
  const meal = await choose({ title }, choices)
  if (!meal) return ''
  try {
    await app.ask('PUT', '/api/v1/pos/sold-out', { item: meal.id, period: meal.period, sold_out: !meal.sold_out })
  } catch (error) {
    return sentence(error)
  }
  await app.load()
  return ''
}
