// npm kitsu. It shapes types, URLs and ids after kitsu.app's API unless told to leave names as they are.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Kitsu from 'kitsu'
import { authorization, known, rejection, url } from './shop.js'

const api = new Kitsu({
  baseURL: url,
  headers: authorization,
  camelCaseTypes: false,
  resourceCase: 'none',
  pluralize: false,
})

test('list, with counts and links', async () => {
  const { data, meta, links } = await api.get('customers', { params: { page: { number: 2, size: 5 }, sort: 'email' } })
  assert.equal(data.length, 5)
  assert.equal(meta.record_count, known.many + 1)
  assert.match(links.next, /page%5Bnumber%5D=3/)
  assert.equal(data[0].email, 'page-05@example.com')
})

test('page through by number and by cursor', async () => {
  const found = []
  for (let number = 1, pages = 1; number <= pages; number++) {
    const { data, meta } = await api.get('customers', { params: { page: { number, size: 10 } } })
    found.push(...data.map((one) => one.id))
    pages = meta.page_count
  }
  const walked = []
  for (let next = { params: { page: { after: 'start', size: 10 } } }; next; ) {
    const { data, links } = await api.get('customers', next)
    walked.push(...data.map((one) => one.id))
    next = links.next && { params: { page: { after: data.at(-1).meta.page.cursor, size: 10 } } }
  }
  assert.equal(new Set(found).size, known.many + 1)
  assert.deepEqual(walked, found)
})

test('retrieve with nested include', async () => {
  const { data } = await api.get(`orders/${known.order}`, {
    params: { include: 'line_items.sku,customer.tags,billing_address' },
  })
  assert.equal(data.id, known.order)
  assert.deepEqual(data.line_items.data.map((line) => line.sku.data.code).sort(), [known.mug.code, known.shirt.code])
  assert.deepEqual(data.customer.data.tags.data.map((tag) => tag.name), ['vip'])
  assert.equal(data.billing_address.data.city, 'Utrecht')
  assert.match(data.order_subscriptions.links.related, /order_subscriptions$/)
})

test('related resources and relationships', async () => {
  const customer = await api.get(`orders/${known.order}/customer`)
  assert.equal(customer.data.email, 'ada@example.com')
  const lines = await api.get(`orders/${known.order}/line_items`, { params: { sort: '-quantity' } })
  assert.deepEqual(lines.data.map((line) => line.quantity), [2, 1])
  const linkage = await api.get(`customers/${known.customer}/relationships/tags`)
  assert.deepEqual(linkage.data, [{ type: 'tags', id: known.tag }])
  const none = await api.get(`orders/${known.order}/order_subscription`)
  assert.equal(none.data, null)
})

test('filter, sort and sparse fields', async () => {
  const by = async (filter) => {
    const params = { filter, fields: { customers: 'email' }, sort: '-email', page: { size: 100 } }
    return (await api.get('customers', { params })).data.map((one) => one.email)
  }
  assert.deepEqual(await by({ email: 'ada@example.com' }), ['ada@example.com'])
  assert.deepEqual(await by({ email: { lt: 'page-02' } }), ['page-01@example.com', 'ada@example.com'])
  assert.deepEqual(await by({ id: { in: `${known.customer},nope` } }), ['ada@example.com'])
  assert.deepEqual(await by({ 'tags.name': 'vip' }), ['ada@example.com'])
  assert.deepEqual(await by({ q: { email_or_reference_cont: 'page-1' } }).then((all) => all.length), 10)
  const { data } = await api.get('customers', { params: { filter: { id: known.customer }, fields: { customers: 'email' } } })
  assert.deepEqual(Object.keys(data[0]).sort(), ['email', 'id', 'links', 'meta', 'type'])
})

test('create, update, relationships, triggers, delete', async () => {
  const made = await api.create('customers', { email: 'kitsu@example.com', metadata: { shoe: 42 } })
  assert.equal(made.status, 201)
  const id = made.data.id
  const group = await api.create('customer_groups', { name: 'Kitsu', code: 'kitsu' })
  const { data } = await api.update(
    'customers',
    { id, reference: 'K-1', customer_group: { data: { type: 'customer_groups', id: group.data.id } }, _add_tags: 'fox,vip' },
    { params: { include: 'customer_group,tags' } },
  )
  assert.equal(data.reference, 'K-1')
  assert.deepEqual(data.metadata, { shoe: 42 })
  assert.equal(data.customer_group.data.name, 'Kitsu')
  assert.deepEqual(data.tags.data.map((tag) => tag.name).sort(), ['fox', 'vip'])

  const emptied = await api.update('customers', { id, customer_group: { data: null }, tags: { data: [] } })
  assert.equal(emptied.data.customer_group?.data, undefined)
  assert.deepEqual((await api.get(`customers/${id}/tags`)).data, [])

  await api.request({ method: 'POST', url: `customers/${id}/relationships/tags`, type: 'tags', body: [{ id: known.tag }] })
  assert.deepEqual((await api.get(`customers/${id}/tags`)).data.map((tag) => tag.name), ['vip'])

  assert.equal((await api.delete('customers', id)).status, 204)
  const gone = await rejection(api.get(`customers/${id}`))
  assert.equal(gone.response.status, 404)
})

test('an order with its lines', async () => {
  const order = await api.create('orders', { customer: { data: { type: 'customers', id: known.customer } } })
  assert.equal(order.data.status, 'draft')
  const to = { data: { type: 'orders', id: order.data.id } }
  const line = await api.create('line_items', { sku_code: known.mug.code, quantity: 3, order: to })
  assert.equal(line.data.total_amount_cents, 3750)
  const { data } = await api.get(`orders/${order.data.id}`)
  assert.equal(data.formatted_total_amount, '€37.50')
  await api.delete('orders', order.data.id)
})

test('errors say what and where', async () => {
  const error = await rejection(api.create('customers', { email: 'no', nope: 1 }))
  assert.equal(error.response.status, 422)
  assert.deepEqual(
    error.errors.map(({ code, source }) => [code, source.pointer]),
    [['VALIDATION_ERROR', '/data/attributes/email'], ['VALIDATION_ERROR', '/data/attributes/nope']],
  )
  const query = await rejection(api.get('customers', { params: { filter: { nope: 1 } } }))
  assert.deepEqual([query.errors[0].code, query.errors[0].source.parameter], ['FILTER_NOT_ALLOWED', 'filter[nope]'])
})
