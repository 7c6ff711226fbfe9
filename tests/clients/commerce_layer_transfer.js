// npm @commercelayer/sdk, unmodified: exports and imports are made, followed, interrupted, started again, listed and
// deleted, beside a worker that writes them and brings them in; and the file of an export is fetched.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CommerceLayer } from '@commercelayer/sdk/bundle'
import { known, rejection, token, url } from './shop.js'

const here = (input, init) => {
  const { pathname, search } = new URL(input)
  return fetch(new URL(pathname + search, url), init)
}
const cl = CommerceLayer({ organization: 'shop', accessToken: token, fetch: here })
const { exports: taken, imports: brought, customers, skus } = cl

/** A resource once it is over. */
async function over(resource, id) {
  for (let tries = 0; tries < 300; tries++) {
    const found = await resource.retrieve(id)
    if (!['pending', 'in_progress'].includes(found.status)) return found
    await sleep(100)
  }
  return assert.fail('it never ended')
}

test('export: create, follow, fetch, list, count, delete', async () => {
  const made = await taken.create({ resource_type: 'customers', filters: { reference_eq: 'paged' }, fields: ['email'] })
  assert.ok(taken.isExport(made))
  assert.deepEqual([made.status, made.format, made.attachment_url], ['pending', 'json', null])
  const shown = await over(taken, made.id)
  assert.deepEqual([shown.status, shown.records_count, shown.processed_count, shown.progress], ['completed', known.many, known.many, 100])
  assert.ok(shown.started_at <= shown.completed_at)
  assert.deepEqual([shown.errors_log, shown.interrupted_at, shown.estimated_completion_at], [null, null, null])
  const file = await fetch(shown.attachment_url)
  assert.match(file.headers.get('content-disposition'), /^attachment; filename="customers-/)
  const records = await file.json()
  assert.deepEqual(records.map((one) => one.email).sort()[0], 'page-01@example.com')
  assert.equal(records.length, known.many)
  const listed = await taken.list({ filters: { resource_type_eq: 'customers', status_eq: 'completed' }, sort: { created_at: 'desc' } })
  assert.ok(Array.from(listed, (one) => one.id).includes(made.id))
  assert.ok((await taken.count({ filters: { status_in: 'completed,failed' } })) >= 1)
  assert.equal((await taken.update({ id: made.id, reference: 'mine' })).reference, 'mine')
  const names = Array.from(await taken.events(made.id), (one) => one.name)
  assert.ok(['exports.create', 'exports.start', 'exports.complete'].every((name) => names.includes(name)))
  assert.ok(Array.from(await taken.event_stores(made.id), (one) => one.event).includes('complete'))
  await taken.delete(made.id)
  assert.equal((await rejection(taken.retrieve(made.id))).status, 404)
  assert.equal((await fetch(shown.attachment_url)).status, 410)
})

test('export: every attribute that its documentation has', async () => {
  const made = await taken.create({
    resource_type: 'orders',
    format: 'csv',
    includes: ['line_items', 'customer'],
    fields: ['code', 'line_items.*', 'customer.email'],
    filters: { status_in: ['placed', 'approved'], customer_email_eq: 'ada@example.com' },
    dry_data: false,
    jwt_filters: true,
    reference: 'accounts',
    metadata: { year: 2026 },
  })
  const shown = await over(taken, made.id)
  assert.equal(shown.status, 'completed', JSON.stringify(shown.errors_log))
  const [header, ...rows] = (await (await fetch(shown.attachment_url)).text()).trim().split('\r\n')
  assert.ok(header.split(',').includes('line_items.sku_code'))
  assert.equal(rows.length, 2, 'a row for each line')
})

test('export: interrupt, start', async () => {
  const made = await taken.create({ resource_type: 'skus' })
  const ended = await taken._interrupt(made.id)
  assert.ok(['interrupted', 'completed'].includes(ended.status))
  if (ended.status === 'interrupted') {
    assert.notEqual(ended.interrupted_at, null)
    assert.equal((await taken._start(made.id)).status, 'pending')
  }
  assert.equal((await over(taken, made.id)).status, 'completed')
})

test('export: what is wrong is named', async () => {
  const problem = await rejection(taken.create({ resource_type: 'skus', includes: ['colours'] }))
  assert.deepEqual([problem.status, problem.errors[0].source.pointer], [422, '/data/attributes/includes/0'])
})

test('import: create, follow, what was refused, list, events, delete', async () => {
  const inputs = [{ code: 'NEW-1', name: 'First', number: 900001 }, { code: 'NEW-2', name: '', colour: 'red' }]
  const made = await brought.create({ resource_type: 'skus', inputs, skip_errors: true, format: 'json' })
  assert.ok(brought.isImport(made))
  assert.deepEqual([made.status, made.inputs_size], ['pending', 2])
  const shown = await over(brought, made.id)
  assert.deepEqual([shown.status, shown.processed_count, shown.errors_count], ['completed', 2, 1], JSON.stringify(shown.errors_log))
  assert.ok(shown.errors_log['2'].colour)
  assert.equal((await skus.list({ filters: { code_eq: 'NEW-1' } }))[0].name, 'First')
  assert.ok((await brought.count({ filters: { status_eq: 'completed' } })) >= 1)
  assert.ok(Array.from(await brought.events(made.id), (one) => one.name).includes('imports.complete'))
  assert.ok(Array.from(await brought.event_stores(made.id), (one) => one.event).includes('complete'))
  await brought.delete(made.id)
  assert.equal((await rejection(brought.retrieve(made.id))).status, 404)
})

test('import: interrupt', async () => {
  const inputs = Array.from({ length: 4000 }, (_, n) => ({ email: `many-${n}@example.com`, reference: 'many' }))
  const made = await brought.create({ resource_type: 'customers', inputs })
  const ended = await brought._interrupt(made.id)
  assert.ok(['interrupted', 'completed'].includes(ended.status))
  const held = await customers.count({ reference_eq: 'many' })
  await sleep(500)
  assert.equal(await customers.count({ reference_eq: 'many' }), held, 'what was interrupted goes no further')
})

test('what was exported can be imported', async () => {
  const made = await taken.create({ resource_type: 'skus', dry_data: true })
  const inputs = await (await fetch((await over(taken, made.id)).attachment_url)).json()
  const again = await over(brought, (await brought.create({ resource_type: 'skus', inputs, on_conflict: 'update' })).id)
  assert.deepEqual([again.status, again.errors_count, again.unchanged_count], ['completed', 0, inputs.length])
})
