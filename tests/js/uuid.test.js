import assert from 'node:assert/strict'
import { test } from 'node:test'

import { uuid } from '../../static/pos/model/uuid.js'

test('ids are random UUIDs of version 4, never the same', () => {
  const made = Array.from({ length: 1000 }, uuid)
  assert.equal(new Set(made).size, 1000)
  for (const id of made) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})
