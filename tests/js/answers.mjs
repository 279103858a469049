// The tablet's engine for the differential test: a line of JSON in, a line of JSON out, until the input ends.
//
//   in   {"book": base64 of a rulebook's bytes, "cases": [text of a case's JSON, ...]}
//   out  {"refused": [code, path]}, or {"answers": [...]}, one for each case: {"refused": [code, path]} or
//        {"case": canonical, "quote": canonical, "say": {counter, audit}, "wanted": canonical}

import { createInterface } from 'node:readline'

import * as policy from '../../static/pos/model/policy/index.js'

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { book, cases } = JSON.parse(line)
  process.stdout.write(`${JSON.stringify(orRefused(() => answersOf(Buffer.from(book, 'base64'), cases)))}\n`)
}

function answersOf(bytes, cases) {
  const book = policy.load(bytes)
  return { answers: cases.map((text) => orRefused(() => answerOf(book, text))) }
}

function answerOf(book, text) {
  const { diner, meal, taken } = policy.readCase(JSON.parse(text))
  const quote = policy.quote(book, diner, meal, taken)
  return {
    case: policy.canonical(policy.caseDoc(diner, meal, taken)),
    quote: policy.canonical(quote),
    say: policy.say(quote),
    wanted: policy.canonical(policy.wanted(book, diner, meal)),
  }
}

function orRefused(act) {
  try {
    return act()
  } catch (error) {
    if (error instanceof policy.Refused) return { refused: [error.code, error.path] }
    return { failed: error.stack }
  }
}
