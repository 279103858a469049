// Compile a canonical document to a rulebook ready to quote. The twin of canteen/policy/rulebook.py; layers are joined,
// and books are linted, on the server alone.

import { ON_LIST, priceList, TARGETS, worthOf } from './benefits.js'
import { isRecord, parse } from './canonical.js'
import { baseOf, both, living, testOf } from './conditions.js'
import { LATEST } from './days.js'
import { BENEFITS, JOINED, RULEBOOK } from './grammar.js'
import { lookUp, problem, Refused } from './refusals.js'

/** @import {Problem} from './refusals.js' */
/** @import {Allowance, Budget, Fund, Goods, Group, LimitRef, SplitPart, Rounding, Rule, Rulebook, Stage, Step, Terms, Test} from './rules.js' */

/**
 * A checked part of a rulebook document: grammar.js has checked its form.
 * @typedef {Record<string, any>} Doc
 */

const WHOLE = 10_000 // hundredths of a percent
const MIDDLE = 500 // a stage's place among the layers where it names none

/** @type {Rounding} */
const TO_THE_FEN = { of: 'benefit', to: 'fen', by: 'half_up' }

/**
 * Load a rulebook from canonical bytes, of one scheme or joined. Throws Refused with the first problem found.
 *
 * The hash (`digest`) is kept beside the stored bytes: WebCrypto is asynchronous, and a quote needs no hash.
 * @param {string | Uint8Array} body
 * @returns {Rulebook}
 */
export function load(body) {
  const document = parse(body)
  const joined = isRecord(document) && Object.hasOwn(document, 'layers')
  const problems = /** @type {Problem[]} */ ([])
  ;(joined ? JOINED : RULEBOOK)(document, '', problems)
  if (problems.length) throw new Refused(problems[0])
  const checked = /** @type {Doc} */ (document)
  const layers = /** @type {Doc[]} */ (joined ? checked.layers : [checked])
  const shared = new Map()
  const compiled = layers.map((layer) => new Layer(layer, shared))
  const refs = compiled.flatMap((layer) => layer.limitRefs)
  return {
    id: layers.map((layer) => layer.id).join('+'),
    title: layers.map((layer) => layer.title).join('；'),
    stages: compiled.flatMap((layer) => layer.stages).sort((a, b) => a.order - b.order),
    asks: new Set(compiled.flatMap((layer) => layer.asks)),
    limitRefs: [...new Map(refs.map((ref) => [JSON.stringify(ref), ref])).values()],
  }
}

/** One scheme being compiled. Throws Refused where a name leads nowhere. */
class Layer {
  /** @type {LimitRef[]} */
  limitRefs = []
  /** @type {string[]} */
  asks = []
  /** @type {Map<string, Fund>} */
  #funds = new Map()
  /** @type {Set<string>} */
  #opening = new Set()

  /**
   * @param {Doc} document
   * @param {Map<string, Allowance>} shared  the allowances of the layers above; this one's are put beside them
   */
  constructor(document, shared) {
    this.document = document
    this.scheme = /** @type {string} */ (document.id)
    this.firstDay = /** @type {number} */ (document.from)
    this.lastDay = /** @type {number} */ (document.to ?? LATEST)
    for (const one of document.allowances ?? []) {
      const known = shared.get(one.was ?? one.id) ?? allowanceOf(one, this.firstDay)
      for (const name of [known.id, one.id]) if (!shared.has(name)) shared.set(name, known)
    }
    this.shared = shared
    this.rules = new Set(document.stages.flatMap((/** @type {Doc} */ stage) => ruleIds(stage.rules)))
    this.guard = this.#guard(document.guard ?? 'guard.meal')
    this.terms = termsOf(document, shared, this.limitRefs)
    this.fundDocs = new Map((document.funds ?? []).map((/** @type {Doc} */ one) => [one.id, one]))
    this.test = both(living(this.terms), testOf(document.when, this.terms))
    this.stages = document.stages.map((/** @type {Doc} */ one) => this.#stage(one))
  }

  /**
   * One subsidised meal per person and period across all canteens, even where a scheme is silent.
   * @param {string} name
   * @returns {string | null}
   */
  #guard(name) {
    if (name === 'none') return null
    if (!this.shared.has(name)) {
      this.shared.set(name, allowanceOf({ id: name, unit: 'meal', scope: 'person', window: 'period', limit: 1 }, 0))
    }
    return name
  }

  // --- stages, groups, rules -----------------------------------------------------------------------------------

  /**
   * @param {Doc} doc
   * @returns {Stage}
   */
  #stage(doc) {
    const id = `${this.scheme}/${doc.id}`
    const test = both(this.test, testOf(doc.when, this.terms))
    const members = doc.rules.map((/** @type {Doc} */ one) => this.#member(one, id))
    return { id, order: doc.order ?? MIDDLE, group: { id, pick: doc.pick ?? 'best', test, members } }
  }

  /**
   * @param {Doc} doc
   * @param {string} stage
   * @returns {Rule | Group}
   */
  #member(doc, stage) {
    if (!Object.hasOwn(doc, 'pick')) return this.#rule(doc, stage)
    const members = doc.rules.map((/** @type {Doc} */ one) => this.#member(one, stage))
    return { id: `${this.scheme}/${doc.id}`, pick: doc.pick, test: testOf(doc.when, this.terms), members }
  }

  /**
   * @param {Doc} doc
   * @param {string} stage
   * @returns {Rule}
   */
  #rule(doc, stage) {
    const id = `${this.scheme}/${doc.id}`
    const steps = this.#steps(doc, id)
    if (doc.used_up === 'ask') this.asks.push(id)
    return {
      id,
      stage,
      firstDay: Math.max(this.firstDay, doc.from ?? this.firstDay),
      lastDay: Math.min(this.lastDay, doc.to ?? this.lastDay),
      test: testOf(doc.when, this.terms),
      excludes: (doc.excludes ?? []).map((/** @type {string} */ one) => this.#named(one)),
      onlyAbove: doc.only_if === 'bill_above_benefit',
      floor: Math.max(doc.floor ?? 0, this.document.floor ?? 0),
      rounding: { ...TO_THE_FEN, ...this.document.rounding, ...doc.rounding },
      stops: doc.used_up === 'stop' || doc.used_up === 'ask',
      steps,
      clause: doc.clause,
      reason: doc.reason,
    }
  }

  /**
   * Qualify the id of a rule of this scheme; a rule of another is already named with its scheme.
   * @param {string} rule
   */
  #named(rule) {
    return rule.includes('/') && !this.rules.has(rule) ? rule : `${this.scheme}/${rule}`
  }

  /**
   * @param {Doc} doc
   * @param {string} rule
   */
  #steps(doc, rule) {
    return tiers(doc).map(({ own, when }) => this.#step(doc, own, testOf(when, this.terms), rule))
  }

  /**
   * @param {Doc} doc
   * @param {Doc} own  the tier's words, or the rule's where it has no tiers
   * @param {Test | null} test
   * @param {string} rule
   * @returns {Step}
   */
  #step(doc, own, test, rule) {
    const verb = /** @type {string} */ (BENEFITS.find((word) => Object.hasOwn(own, word)))
    const caps = [doc.most, own.most].filter((most) => most !== undefined)
    const { worth, byItem } = worthOf(verb, own[verb], this.terms)
    const base = TARGETS.includes(verb) ? { ...doc.base, of: 'left' } : (doc.base ?? {})
    return {
      test,
      verb,
      value: own[verb],
      worth,
      byItem,
      listed: verb === 'prices' ? priceList(own[verb]) : null,
      base: baseOf(base, this.terms, ON_LIST.includes(verb) ? 'list' : 'left'),
      limits: this.#limits(doc, own, rule),
      most: caps.length ? Math.min(...caps) : null,
      label: own.label ?? doc.label,
      reason: own.reason ?? doc.reason,
      clause: own.clause ?? doc.clause,
      parts: this.#parts(doc, own, rule),
    }
  }

  /**
   * Return the rule's limits and the tier's credit; those counted by fund are the parts'.
   * @param {Doc} doc
   * @param {Doc} own
   * @param {string} rule
   */
  #limits(doc, own, rule) {
    const limits = [...(doc.limits ?? []), ...(own.credit === undefined ? [] : [own.credit])]
      .filter((name) => lookUp(this.shared, name).scope !== 'fund')
      .map((name) => this.#limitRef(name, rule))
    return [...new Map(limits.map((ref) => [ref.allowance.id, ref])).values()]
  }

  // --- money ---------------------------------------------------------------------------------------------------

  /**
   * @param {Doc} doc
   * @param {Doc} own
   * @param {string} rule
   * @returns {SplitPart[]}
   */
  #parts(doc, own, rule) {
    /** @type {Doc[]} */
    const split = own.split ?? doc.split ?? (doc.fund === undefined ? [] : [{ fund: doc.fund, rest: true }])
    if (split.reduce((sum, { percent = 0 }) => sum + percent, 0) > WHOLE) {
      throw new Refused(problem('split_sum', '', '分担比例之和超过 100%', rule, '100%'))
    }
    const byFund = [...(doc.limits ?? []), ...(own.credit === undefined ? [] : [own.credit])]
      .filter((/** @type {string} */ name) => lookUp(this.shared, name).scope === 'fund')
    return split.map((part) => this.#part(part, rule, byFund))
  }

  /**
   * @param {Doc} doc
   * @param {string} rule
   * @param {string[]} limits
   * @returns {SplitPart}
   */
  #part(doc, rule, limits) {
    const fund = this.#fund(doc.fund)
    const how = /** @type {SplitPart['how']} */ (['fen', 'percent', 'ratio'].find((word) => Object.hasOwn(doc, word)) ?? 'ratio')
    return {
      fund,
      how,
      amount: doc[how] ?? 1,
      test: testOf(doc.when, this.terms),
      instead: doc.instead === undefined ? null : this.#fund(doc.instead),
      limits: once(limits.map((name) => this.#limitRef(name, rule, fund.id)))
        .filter((ref) => !fund.limits.some((one) => keyOf(one) === keyOf(ref))),
    }
  }

  /**
   * Compile a fund, once; refuse one whose budget passes on to itself.
   * @param {string} id
   * @returns {Fund}
   */
  #fund(id) {
    const known = this.#funds.get(id)
    if (known) return known
    const doc = /** @type {Doc} */ (lookUp(this.fundDocs, id))
    if (this.#opening.has(id)) {
      throw new Refused(problem('fund_circle', 'funds', '预算用完后的接续资金转了一圈又回到自己', id))
    }
    this.#opening.add(id)
    const limits = (doc.limits ?? []).map((/** @type {string} */ name) => this.#limitRef(name, '', id))
    if (doc.payer === 'subsidy' && this.guard) limits.unshift(this.#limitRef(this.guard, '', id))
    const budget = doc.budget ? this.#budget(doc.budget, id) : null
    const fund = { id, name: doc.name, payer: doc.payer, test: testOf(doc.when, this.terms), limits: once(limits), budget }
    this.#funds.set(id, fund)
    return fund
  }

  /**
   * @param {Doc} doc
   * @param {string} fund
   * @returns {Budget}
   */
  #budget(doc, fund) {
    const { limit, window, where, warn = 0, at_end: atEnd, next } = doc
    const allowance = allowanceOf({ id: `budget.${fund}`, unit: 'fen', scope: 'budget', window, limit, where }, 0)
    this.limitRefs.push({ allowance, suffix: '' })
    return { allowance, warn, atEnd, next: next === undefined ? null : this.#fund(next) }
  }

  // --- limits --------------------------------------------------------------------------------------------------

  /**
   * @param {string} name
   * @param {string} rule
   * @param {string} [fund]
   * @returns {LimitRef}
   */
  #limitRef(name, rule, fund = '') {
    const allowance = lookUp(this.shared, name)
    const suffix = allowance.scope === 'rule' ? `#${rule}` : allowance.scope === 'fund' ? `#${fund}` : ''
    const ref = { allowance, suffix }
    this.limitRefs.push(ref)
    return ref
  }
}

/**
 * Keep each allowance once: one named twice is not used twice.
 * @param {LimitRef[]} refs
 */
const once = (refs) => [...new Map(refs.map((ref) => [keyOf(ref), ref])).values()]

/** @param {LimitRef} ref */
const keyOf = ({ allowance, suffix }) => `${allowance.id} ${suffix}`

/**
 * Return the tiers of a rule with the test of each; the rule itself where it has none.
 * @param {Doc} doc
 * @returns {{own: Doc, when: Doc}[]}
 */
function tiers(doc) {
  if (doc.by_age) return doc.by_age.map((/** @type {Doc} */ own) => ({ own, when: { age: span(own) } }))
  if (doc.by_level) {
    const { scale, steps } = doc.by_level
    return steps.map((/** @type {Doc} */ own) => ({ own, when: { level: { scale, ...span(own) } } }))
  }
  if (!doc.by_class) return [{ own: doc, when: {} }]
  return doc.by_class.map((/** @type {Doc} */ own) => ({
    own,
    when: own.class ? { ...own.when, class: own.class } : { ...own.when },
  }))
}

/**
 * @param {Doc[]} members
 * @returns {string[]}
 */
const ruleIds = (members) => members.flatMap((one) => (one.rules ? ruleIds(one.rules) : [one.id]))

/** @param {Doc} doc */
function span({ from, below }) {
  return { ...(from === undefined ? {} : { from }), ...(below === undefined ? {} : { below }) }
}

/**
 * @param {Doc} doc
 * @param {number} firstDay
 * @returns {Allowance}
 */
function allowanceOf(doc, firstDay) {
  const { windows = 0, most_fen: mostFen, most = 0, within: carryWithin = '' } = doc.carry ?? {}
  return {
    id: doc.was ?? doc.id, // uses stay counted under the oldest id
    unit: doc.unit,
    scope: doc.scope,
    window: doc.window,
    limit: doc.limit ?? doc.limit_fen ?? 0,
    scale: doc.limit_level ?? '',
    where: doc.where ?? 'everywhere',
    carry: windows,
    carryMost: mostFen ?? most,
    carryWithin,
    since: doc.from ?? firstDay,
    earlier: earlierOf(doc.earlier ?? []),
  }
}

/**
 * Return the limits of earlier windows by last day.
 * @param {Doc[]} earlier
 * @returns {Allowance['earlier']}
 */
function earlierOf(earlier) {
  const found = earlier.map(({ to, limit, limit_fen: fen }) => ({ last: to, limit: limit ?? fen }))
  return found.sort((one, other) => one.last - other.last || one.limit - other.limit)
}

/**
 * @param {Doc} document
 * @param {Map<string, Allowance>} allowances
 * @param {LimitRef[]} limitRefs
 * @returns {Terms}
 */
function termsOf({ age = {}, approval = 'same_day', death = '', sets = [] }, allowances, limitRefs) {
  /** @type {(doc: Doc) => [string, Goods]} */
  const named = ({ id, items = [], tags = [] }) => [id, { items: new Set(items), tags: new Set(tags) }]
  const { reckoning = 'birthday', leap_day: leapDay = 'mar1' } = age
  return { reckoning, leapDay, approval, death, sets: new Map(sets.map(named)), allowances, limitRefs }
}
