// npm devour-client. With `pluralize: false` its models are called what the API's types are called.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import JsonApi from 'devour-client'
import { known, rejection, token, url } from './shop.js'

const api = new JsonApi({
  apiUrl: url,
  bearer: token,
  pluralize: false,
  logger: false,
  errorBuilder: ({ code, detail, source }) => ({ code, detail, source }),
})
const one = (type) => ({ jsonApi: 'hasOne', type })
const many = (type) => ({ jsonApi: 'hasMany', type })
const triggers = { _add_tags: '', _remove_tags: '' }

api.define('orders', { number: '', status: '', total_amount_cents: 0, customer: one('customers'), line_items: many('line_items') })
api.define('line_items', { sku_code: '', quantity: 0, total_amount_cents: 0, order: one('orders'), sku: one('skus') })
api.define('skus', { code: '', name: '' })
api.define('tags', { name: '' })
api.define('customer_groups', { name: '', code: '' })
api.define('customers', {
  email: '',
  reference: '',
  metadata: {},
  created_at: '',
  ...triggers,
  customer_group: one('customer_groups'),
  tags: many('tags'),
})

test('list, with counts and links', async () => {
  const { data, meta, links } = await api.findAll('customers', { page: { number: 2, size: 5 }, sort: 'email' })
  assert.equal(data.length, 5)
  assert.equal(data[0].email, 'page-05@example.com')
  assert.equal(meta.record_count, known.many + 1)
  assert.ok(links.next)
})

test('page through by the links', async () => {
  const found = []
  for (let next = `${url}/customers?page[size]=10&sort=id`; next; ) {
    const { data, links } = await api.request(next)
    found.push(...data.map((customer) => customer.id))
    next = links.next
  }
  assert.equal(found.length, known.many + 1)
  assert.deepEqual(found, [...found].sort())
})

test('retrieve with nested include', async () => {
  const { data } = await api.find('orders', known.order, { include: 'line_items.sku,customer.tags' })
  assert.equal(data.status, 'placed')
  assert.deepEqual(data.line_items.map((line) => line.sku.code).sort(), [known.mug.code, known.shirt.code])
  assert.deepEqual(data.customer.tags.map((tag) => tag.name), ['vip'])
})

test('related resources and relationships', async () => {
  const { data: lines } = await api.one('orders', known.order).all('line_items').get({ sort: '-quantity' })
  assert.deepEqual(lines.map((line) => line.quantity), [2, 1])
  const { data: linkage } = await api.one('customers', known.customer).relationships('tags').get()
  assert.deepEqual(linkage.map(({ type, id }) => ({ type, id })), [{ type: 'tags', id: known.tag }])
})

test('filter, sort and sparse fields', async () => {
  const by = async (filter) => {
    const { data } = await api.findAll('customers', { filter, fields: { customers: 'email' }, sort: '-email', page: { size: 100 } })
    return data.map((customer) => customer.email)
  }
  assert.deepEqual(await by({ email: 'ada@example.com' }), ['ada@example.com'])
  assert.deepEqual(await by({ id: [known.customer, 'nope'] }), ['ada@example.com'])
  assert.deepEqual(await by({ email: { lt: 'page-02' } }), ['page-01@example.com', 'ada@example.com'])
  assert.deepEqual(await by({ 'tags.name': 'vip' }), ['ada@example.com'])
  assert.deepEqual((await by({ q: { email_or_reference_cont: 'page-1' } })).length, 10)
})

test('create, update, relationships, triggers, delete', async () => {
  const { data: made } = await api.create('customers', { email: 'devour@example.com', metadata: { shoe: 42 } })
  const { id } = made
  const { data: group } = await api.create('customer_groups', { name: 'Devour', code: 'devour' })

  const change = { id, reference: 'D-1', customer_group: { id: group.id }, _add_tags: 'wolf,vip' }
  const { data: changed } = await api.update('customers', change, { include: 'customer_group,tags' })
  assert.equal(changed.reference, 'D-1')
  assert.equal(changed.customer_group.name, 'Devour')
  assert.deepEqual(changed.tags.map((tag) => tag.name).sort(), ['vip', 'wolf'])

  const { data: again } = await api.update('customers', { ...changed, reference: 'D-2' }, { include: 'tags' })
  assert.equal(again.reference, 'D-2', 'a whole resource may be sent back, read-only attributes and all')
  assert.equal(again.tags.length, 2)

  const tags = () => api.one('customers', id).relationships('tags')
  const names = async () => (await api.one('customers', id).all('tags').get({ sort: 'name' })).data.map((tag) => tag.name)
  await tags().destroy([{ type: 'tags', id: known.tag }])
  assert.deepEqual(await names(), ['wolf'])
  await tags().post([{ id: known.tag }])
  assert.deepEqual(await names(), ['vip', 'wolf'])
  await tags().patch([{ id: known.tag }])
  assert.deepEqual(await names(), ['vip'])
  await api.one('customers', id).relationships('customer_group').patch(null)
  const { data: emptied } = await api.find('customers', id, { include: 'customer_group' })
  assert.equal(emptied.customer_group, null)

  await api.destroy('customers', id)
  await rejection(api.find('customers', id))
})

test('an order with its lines', async () => {
  const { data: order } = await api.create('orders', { customer: { id: known.customer } })
  assert.equal(order.status, 'draft')
  const { data: line } = await api.create('line_items', { sku_code: known.mug.code, quantity: 3, order: { id: order.id } })
  assert.equal(line.total_amount_cents, 3750)
  const { data: { total_amount_cents: total } } = await api.find('orders', order.id)
  assert.equal(total, 3750)
  await api.destroy('orders', order.id)
})

test('errors say what and where', async () => {
  const errors = await rejection(api.create('customers', { email: 'no', reference: 7 }))
  assert.deepEqual(Object.keys(errors), ['email', 'reference'])
  assert.equal(errors.email.code, 'VALIDATION_ERROR')
  assert.equal(errors.email.source.pointer, '/data/attributes/email')
  const query = await rejection(api.findAll('customers', { filter: { nope: 1 } }))
  assert.equal(query[0].source.parameter, 'filter[nope]')
})
