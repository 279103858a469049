// Quotes by the tablet's engine: the question on stdin, what was measured on stdout.
//
//   in   {"book": canonical text, "cases": [a case's document, ...], "seconds": 1}
//   out  {"quotes": per second of processor time, "loads": rulebooks loaded per second, "loop": turns of a plain loop per second}

import { text } from 'node:stream/consumers'

import { load, quote, readCase } from '../static/pos/model/policy/index.js'

const { book: body, cases: documents, seconds } = JSON.parse(await text(process.stdin))
const book = load(body)
const cases = documents.map(readCase)

const quoteAll = () => {
  for (const { diner, meal, taken } of cases) quote(book, diner, meal, taken)
  return cases.length
}
const loadOnce = () => {
  load(body)
  return 1
}
const calibrate = () => {
  let mixed = 1
  for (let turn = 0; turn < 1_000_000; turn++) mixed = (Math.imul(mixed, 1_103_515_245) + 12_345) >>> 0
  return mixed >= 0 ? 1_000_000 : 0
}

const found = { quotes: speed(quoteAll), loads: speed(loadOnce), loop: speed(calibrate) }
process.stdout.write(`${JSON.stringify(found)}\n`)

/** Per second of the processor's time, so that a busy machine does not count; compiled by as long a run before. */
function speed(runOnce) {
  run(runOnce)
  return run(runOnce)
}

function run(runOnce) {
  const began = process.cpuUsage()
  let done = 0
  let spent = 0
  while (spent < seconds * 1e6) {
    done += runOnce()
    const { user, system } = process.cpuUsage(began)
    spent = user + system
  }
  return (done * 1e6) / spent
}
