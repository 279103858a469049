// The form of documents: each shape lists what is wrong with a value, in the order in which
// canteen/policy/shapes.py lists it, so that both engines refuse a document for the same first problem.

import { byCodePoint, isRecord } from './canonical.js'
import { EARLIEST, LATEST } from './days.js'
import { problem, shown } from './refusals.js'

/** @import {Problem} from './refusals.js' */

/** @typedef {(value: unknown, path: string, out: Problem[]) => void} Shape */

/**
 * A whole number from `least` to `most`, both included.
 * @param {number} [least]
 * @param {number} [most]
 * @param {string} [wanted]
 * @returns {Shape}
 */
export const whole = (least = 0, most = Number.MAX_SAFE_INTEGER, wanted = '整数') => (value, path, out) => {
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    out.push(problem('not_a_number', path, '应为整数', shown(value), wanted))
  } else if (value < least || value > most) {
    out.push(problem('out_of_range', path, '超出范围', shown(value), `${least} 到 ${most}`))
  }
}

/**
 * An amount in fen.
 * @param {number} [most]
 * @param {number} [least]
 */
export const fen = (most = 10_000_000, least = 0) => whole(least, most, '以元为单位的金额，如 3.00')

export const day = () => whole(EARLIEST, LATEST, '日期，如 2026-11-22')

/** Hundredths of a percent: 85% is 8500. */
export const percent = () => whole(0, 10_000, '百分数，如 85%')

/** Minutes after midnight. */
export const minute = () => whole(0, 24 * 60, '时刻，如 09:30')

/**
 * Words for people: one line, not empty.
 * @param {number} longest  in code points
 * @returns {Shape}
 */
export const text = (longest) => (value, path, out) => {
  const wanted = '一行文字'
  if (typeof value !== 'string') out.push(problem('not_text', path, '应为文字', shown(value), wanted))
  else if (value === '' || [...value].length > longest) {
    out.push(problem('bad_length', path, '文字不能为空，也不能过长', shown(value), `1 到 ${longest} 字`))
  } else if (/[\0-\x1f\x7f]|\p{Surrogate}/u.test(value)) {
    out.push(problem('bad_character', path, '含有不能使用的字符', shown(value), wanted))
  }
}

/**
 * An id or a code: ASCII letters, digits and . _ - : @ # /
 * @param {number} [longest]
 * @returns {Shape}
 */
export const code = (longest = 80) => (value, path, out) => {
  const wanted = '代码（字母、数字和 . _ - : @ # /）'
  if (typeof value !== 'string') out.push(problem('not_a_code', path, '应为代码', shown(value), wanted))
  else if (value.length > longest || !/^[A-Za-z0-9._\-:@#/]+$/.test(value)) {
    out.push(problem('not_a_code', path, '代码写法不对', shown(value), wanted))
  }
}

/**
 * One of a few words.
 * @param {readonly string[]} values
 * @returns {Shape}
 */
export const oneOf = (values) => (value, path, out) => {
  if (typeof value !== 'string' || !values.includes(value)) {
    out.push(problem('not_a_choice', path, '不在可选范围内', shown(value), values.join(' / ')))
  }
}

/** @returns {Shape} */
export const flag = () => (value, path, out) => {
  if (typeof value !== 'boolean') out.push(problem('not_a_flag', path, '应为是或否', shown(value), 'yes 或 no'))
}

/**
 * The shape, or null.
 * @param {Shape} inner
 * @returns {Shape}
 */
export const orNull = (inner) => (value, path, out) => {
  if (value !== null) inner(value, path, out)
}

/**
 * A list of one shape; `ordered` lists are sorted and without repeats.
 * @param {Shape} inner
 * @param {{least?: number, most?: number, ordered?: boolean}} [bounds]
 * @returns {Shape}
 */
export const listOf = (inner, { least = 0, most = 200, ordered = false } = {}) => (value, path, out) => {
  if (!Array.isArray(value)) {
    out.push(problem('not_a_list', path, '应为列表', shown(value), '一个列表'))
    return
  }
  if (value.length < least || value.length > most) {
    out.push(problem('bad_length', path, '项数不对', String(value.length), `${least} 到 ${most} 项`))
  }
  value.slice(0, most).forEach((one, place) => inner(one, `${path}[${place}]`, out))
  if (!ordered || !value.every((one) => typeof one === 'string')) return
  if (new Set(value).size < value.length) {
    out.push(problem('repeated', path, '同一项写了两次', shown(value), '不重复的列表'))
  } else if (!isOrdered(value)) {
    out.push(problem('not_ordered', path, '应按代码排序', shown(value), '排序后的列表'))
  }
}

/** @param {string[]} value */
const isOrdered = (value) => value.every((one, place) => place === 0 || byCodePoint(value[place - 1], one) < 0)

/**
 * An object from codes to one shape.
 * @param {Shape} inner
 * @param {number} [most]
 * @param {Shape} [ofKey]
 * @returns {Shape}
 */
export const mapOf = (inner, most = 50, ofKey = code()) => (value, path, out) => {
  if (!isRecord(value)) {
    out.push(problem('not_an_object', path, '应为一组字段', shown(value), '一组“代码: 值”'))
    return
  }
  const keys = Object.keys(value).sort(byCodePoint)
  if (keys.length > most) out.push(problem('bad_length', path, '项数过多', String(keys.length), `至多 ${most} 项`))
  for (const key of keys.slice(0, most)) {
    ofKey(key, path, out)
    inner(value[key], `${path}.${key}`, out)
  }
}

/** @typedef {Record<string, Shape>} Fields */

/**
 * Named fields, no others. Of each list in `oneOf` exactly one field is given, of `someOf` at least one.
 * @param {{needed?: Fields, maybe?: Fields, oneOf?: readonly (readonly string[])[], someOf?: readonly string[]}} form
 * @returns {Shape}
 */
export function record({ needed = {}, maybe = {}, oneOf: choices = [], someOf = [] }) {
  const shapes = new Map([...Object.entries(maybe), ...Object.entries(needed)])
  const allowed = [...shapes.keys()].sort().join('、')
  const musts = Object.keys(needed).sort()

  /** @type {Shape} */
  return (value, path, out) => {
    if (!isRecord(value)) {
      out.push(problem('not_an_object', path, '应为一组字段', shown(value), '一组字段'))
      return
    }
    const has = (/** @type {string} */ name) => Object.hasOwn(value, name)
    const names = Object.keys(value).sort(byCodePoint)
    for (const name of names.filter((one) => !shapes.has(one))) {
      out.push(problem('unknown_field', under(path, shown(name)), '没有这个字段', shown(name), allowed))
    }
    for (const name of musts.filter((one) => !has(one))) {
      out.push(problem('missing_field', path, `缺少字段 ${name}`, '', name))
    }
    for (const choice of choices) {
      const there = choice.filter(has)
      if (there.length !== 1) {
        out.push(problem('one_of', path, '只能且必须写其中一项', there.join('、') || '无', choice.join('、')))
      }
    }
    if (someOf.length && !someOf.some(has)) {
      out.push(problem('some_of', path, '至少写一项', '无', someOf.join('、')))
    }
    for (const name of names) shapes.get(name)?.(value[name], under(path, name), out)
  }
}

/**
 * A shape by name, for shapes that contain themselves.
 * @param {() => Shape} make
 * @returns {Shape}
 */
export const named = (make) => (value, path, out) => make()(value, path, out)

/**
 * One shape or another, distinguished by a field that only the first one has.
 * @param {string} mark
 * @param {Shape} marked
 * @param {Shape} other
 * @returns {Shape}
 */
export const either = (mark, marked, other) => (value, path, out) =>
  (isRecord(value) && Object.hasOwn(value, mark) ? marked : other)(value, path, out)

/**
 * @param {string} path
 * @param {string} name
 */
const under = (path, name) => (path ? `${path}.${name}` : name)
