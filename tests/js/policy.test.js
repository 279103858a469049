import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { byCodePoint, canonical, digest, parse } from '../../static/pos/model/policy/canonical.js'
import { load, quote, readCase, Refused, say } from '../../static/pos/model/policy/index.js'

// Rulebooks are written as YAML, which only the server reads: it hands the cases over ready to quote.
const root = fileURLToPath(new URL('../..', import.meta.url))
const lines = execFileSync('.venv/bin/python', ['-m', 'tests.policy.prepared_cases'], { cwd: root, encoding: 'utf8', maxBuffer: 1e9 })
const cases = lines.trim().split('\n').map((line) => JSON.parse(line))

for (const { name, book, case: asked, expected } of cases) {
  test(name, () => {
    const { diner, meal, taken } = readCase(asked)
    const found = quote(load(book), diner, meal, taken)
    assert.equal(found.due, expected.due, say(found).audit)
    if (expected.shares) assert.deepEqual(byFund(found.shares), expected.shares)
    for (const [rule, why] of Object.entries(expected.passed ?? {})) {
      assert.equal(found.passed.findLast((one) => one.rule === rule)?.why, why, rule)
    }
    if (expected.checks) assert.deepEqual(Object.fromEntries(found.checks.map(({ code, breach }) => [code, breach])), expected.checks)
  })
}

function byFund(shares) {
  const sums = {}
  for (const { fund, fen } of shares) sums[fund] = (sums[fund] ?? 0) + fen
  return sums
}

test('there are cases', () => assert.ok(cases.length > 50))

test("a document's text has sorted keys, no spaces, short escapes", () => {
  assert.equal(canonical({ b: [1, -0, null, true], a: '\n"\\\u0001é\u2028', 10: 1, 9: 2 }),
    '{"10":1,"9":2,"a":"\\n\\"\\\\\\u0001é\u2028","b":[1,0,null,true]}')
})

test('what the form cannot express is refused', () => {
  for (const value of [1.5, 2 ** 53, NaN, undefined, 1n, '\ud800', { 字: 1 }, new Map(), () => 1]) {
    assert.throws(() => canonical({ value }), Refused)
  }
})

test('only canonical bytes are read', () => {
  assert.deepEqual(parse('{"a":1}'), { a: 1 })
  for (const text of ['{"a": 1}', '{"b":1,"a":1}', '{"a":1,"a":1}', '1.0', '-0', '\ufeff1', '9007199254740993', '[']) {
    assert.throws(() => parse(text), { code: 'not_canonical' }, text)
  }
})

test('a text is named by the SHA-256 of its bytes', async () => {
  const expected = '936a185caaa266bb9cbe981e9e05cb78cd732b0b3280eb944412bb6f8f8f07af'
  assert.equal(await digest('helloworld'), expected)
  assert.equal(await digest(new TextEncoder().encode('helloworld')), expected)
})

test('texts are ordered by code point, not by UTF-16', () => {
  assert.deepEqual(['\u{1f475}', '\uffff', 'b', 'a', 'ab', '\ue000'].sort(byCodePoint), ['a', 'ab', 'b', '\ue000', '\uffff', '\u{1f475}'])
})
