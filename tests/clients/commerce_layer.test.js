// npm @commercelayer/sdk, whose base URL is made of `organization` and `domain` and is always https: its option `fetch`
// brings it to any other address.

import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { CommerceLayer } from '@commercelayer/sdk/bundle'
import { known, rejection, token, url } from './shop.js'

const here = (input, init) => {
  const { pathname, search } = new URL(input)
  return fetch(new URL(pathname + search, url), init)
}
const cl = CommerceLayer({ organization: 'shop', accessToken: token, fetch: here })

beforeEach(() => cl.removeInterceptors())

// What `list` gives is an Array of its own kind, and so is what its `map` gives.
const all = (list, field) => Array.from(list, (one) => one[field])

test('list: filters, sort, fields, pages, counts', async () => {
  const page = await cl.customers.list({
    filters: { reference_eq: 'paged', email_start: 'page-' },
    sort: { email: 'desc' },
    fields: ['email'],
    pageNumber: 2,
    pageSize: 25,
  })
  assert.deepEqual(all(page, 'email'), ['page-02@example.com', 'page-01@example.com'])
  assert.deepEqual(Object.keys(page[0]), ['id', 'type', 'email'])
  assert.deepEqual(page.meta, { pageCount: 2, recordCount: known.many, currentPage: 2, recordsPerPage: 25 })
  assert.deepEqual([page.hasPrevPage(), page.hasNextPage()], [true, false])
  assert.deepEqual([page.getRecordCount(), page.getPageCount()], [known.many, 2])
  assert.equal((await cl.customers.list()).length, 10)
  assert.equal((await cl.customers.list({ filters: { email_eq: 'nobody@example.com' } })).recordCount, 0)
})

test('count', async () => {
  assert.equal(await cl.customers.count({ reference_eq: 'paged' }), known.many)
  assert.equal(await cl.customers.count({ filters: { email_eq: 'ada@example.com' } }), 1)
  assert.equal(await cl.orders.count(), 1)
})

test('page through by number, and by id as its utilities do', async () => {
  const params = { filters: { reference_eq: 'paged' }, sort: ['id'], pageSize: 25 }
  const found = []
  let page
  do {
    page = await cl.customers.list({ ...params, pageNumber: (page?.meta.currentPage ?? 0) + 1 })
    found.push(...page)
  } while (page.hasNextPage())
  const walked = []
  let total
  do {
    const filters = { ...params.filters, ...(walked.length ? { id_gt: walked.at(-1).id } : {}) }
    page = await cl.customers.list({ ...params, filters, pageNumber: 1 })
    total ??= page.recordCount
    walked.push(...page)
  } while (walked.length < total)
  assert.equal(found.length, known.many)
  assert.deepEqual(walked, found)
})

test('every matcher that it can send', async () => {
  const one = ['eq', 'not_eq', 'eq_or_null', 'not_eq_or_null', 'lt', 'lteq', 'gt', 'gteq']
  const texts = ['matches', 'does_not_match', 'start', 'not_start', 'end', 'not_end', 'cont', 'not_cont', 'i_cont', 'not_i_cont']
  const flags = ['present', 'blank', 'null', 'not_null']
  const lists = ['in', 'not_in', 'in_or_null', 'not_in_or_null']
  const several = [...one.filter((matcher) => !matcher.endsWith('_null')), ...texts]
  const values = {
    ...Object.fromEntries([...one, ...texts].map((matcher) => [`email_${matcher}`, 'page-05@example.com'])),
    ...Object.fromEntries(flags.map((matcher) => [`reference_${matcher}`, true])),
    ...Object.fromEntries(lists.map((matcher) => [`email_${matcher}`, 'page-05@example.com,page-06@example.com'])),
    ...Object.fromEntries(
      several.flatMap((matcher) => ['any', 'all'].map((each) => [`email_${matcher}_${each}`, ['page-05@example.com', 'x']])),
    ),
    metadata_jcont: { club: 'gold' },
  }
  for (const [filter, value] of Object.entries(values)) {
    await cl.customers.list({ filters: { [filter]: value } }).catch((error) => assert.fail(`${filter}: ${error.first()?.detail}`))
  }
})

test('matchers through relationships, joined by or, of arrays and objects', async () => {
  const { orders, customers } = cl
  assert.equal(await orders.count({ number_or_customer_email_cont: 'ada@', status_in: ['placed', 'approved'] }), 1)
  assert.equal(await orders.count({ line_items_sku_code_eq: known.mug.code }), 1)
  assert.equal(await orders.count({ customer_tags_id_in: [known.tag] }), 1)
  assert.equal(await orders.count({ customer_id_eq: 'nobody', placed_at_not_null: true }), 0)
  assert.equal(await orders.count({ total_amount_cents_gteq: 4995, archived_at_null: true }), 1)
  assert.deepEqual(all(await customers.list({ filters: { metadata_jcont: { club: 'gold' } } }), 'email'), ['ada@example.com'])
  const some = await customers.list({ filters: { email_matches_any: ['ada%', 'page-07%'] }, sort: ['email'] })
  assert.deepEqual(all(some, 'email'), ['ada@example.com', 'page-07@example.com'])
})

test('retrieve with nested include and fields of several types', async () => {
  const order = await cl.orders.retrieve(known.order, {
    include: ['line_items.sku', 'customer.tags', 'billing_address', 'order_subscriptions', 'tags'],
    fields: { orders: ['number', 'line_items', 'customer', 'billing_address', 'order_subscriptions', 'tags'], addresses: ['city'] },
  })
  assert.deepEqual(order.line_items.map((line) => line.sku.code).sort(), [known.mug.code, known.shirt.code])
  assert.deepEqual(all(order.customer.tags, 'name'), ['vip'])
  assert.deepEqual(order.billing_address, { id: order.billing_address.id, type: 'addresses', city: 'Utrecht' })
  assert.equal(order.order_subscriptions[0].frequency, 'monthly')
  assert.deepEqual(order.tags, [])
  assert.equal(typeof order.number, 'string')
  assert.ok(!('status' in order))
})

test('resources that lead to one another', async () => {
  const order = await cl.orders.retrieve(known.order, { include: ['customer.order_subscriptions.source_order', 'line_items.order'] })
  const [subscription] = order.customer.order_subscriptions
  assert.equal(subscription.customer.email, order.customer.email)
  assert.equal(subscription.source_order.id, order.id)
  assert.deepEqual(all(order.line_items, 'order'), [{ id: order.id, type: 'orders' }, { id: order.id, type: 'orders' }])
})

test('related fetch: one, many, none', async () => {
  assert.equal((await cl.orders.customer(known.order)).email, 'ada@example.com')
  const lines = await cl.orders.line_items(known.order, { include: ['sku'], sort: ['-quantity'], pageSize: 1 })
  assert.deepEqual([lines.length, lines.recordCount, lines[0].sku.name], [1, 2, 'Mug'])
  assert.deepEqual(all(await cl.customers.tags(known.customer), 'name'), ['vip'])
  const placed = await cl.customers.orders(known.customer, { filters: { status_eq: 'placed' } })
  assert.deepEqual(all(placed, 'id'), [known.order])
  assert.equal(await cl.orders.order_subscription(known.order), null)
  assert.equal((await cl.orders.events(known.order)).recordCount, 0)
})

test('markets', async () => {
  const [market] = await cl.markets.list()
  const order = await cl.orders.create({ market: cl.markets.relationship(market.id) }, { include: ['market'] })
  assert.equal(order.market.name, market.name)
  await cl.orders.delete(order.id)
})

test('a draft order with lines, customer and addresses', async () => {
  const { addresses, customers, line_items: lines, orders } = cl
  const address = await addresses.create({
    first_name: 'Ada',
    last_name: 'Rivers',
    line_1: 'Dorpsstraat 1',
    city: 'Utrecht',
    zip_code: '3511 AA',
    country_code: 'NL',
    phone: '+31 30 123 4567',
  })
  assert.equal(address.full_name, 'Ada Rivers')
  const order = await orders.create({ customer: customers.relationship(known.customer), metadata: { from: 'sdk' } })
  assert.equal(order.status, 'draft')
  const line = await lines.create({ sku_code: known.mug.code, quantity: 2, order: orders.relationship(order) })
  assert.equal(line.formatted_total_amount, '€25.00')
  const changed = await lines.update({ id: line.id, quantity: 3 }, { include: ['order'] })
  assert.equal(changed.order.total_amount_cents, 3750)
  const addressed = await orders.update(
    { id: order.id, language_code: 'nl', billing_address: addresses.relationship(address.id) },
    { include: ['billing_address', 'line_items'] },
  )
  assert.equal(addressed.billing_address.line_1, 'Dorpsstraat 1')
  assert.equal(addressed.line_items.length, 1)
  const cleared = await orders.update(
    { id: order.id, billing_address: addresses.relationship(null) },
    { include: ['billing_address'] },
  )
  assert.equal(cleared.billing_address, null)
  await lines.delete(line.id)
  await orders.delete(order.id)
  assert.equal((await rejection(orders.retrieve(order.id))).status, 404)
  await addresses.delete(address.id)
})

test('skus and prices', async () => {
  const sku = await cl.skus.create({ code: 'SDK-1', name: 'Cap', reference: 'R-1' })
  const price = await cl.prices.create(
    { amount_cents: 999, currency_code: 'EUR', sku: cl.skus.relationship(sku.id) },
    { include: ['sku'] },
  )
  assert.equal(price.sku.code, 'SDK-1')
  assert.equal(price.formatted_amount, '€9.99')
  assert.equal((await cl.prices.update({ id: price.id, amount_cents: 899 })).amount_float, 8.99)
  assert.equal((await cl.skus.prices(sku.id)).recordCount, 1)
  await cl.prices.delete(price.id)
  await cl.skus.delete(sku.id)
})

test('tags: by trigger, by relationship, and their own resources', async () => {
  const order = await cl.orders.create({})
  const tags = async () => all(await cl.orders.tags(order.id, { sort: ['name'] }), 'name')
  await cl.orders._add_tags(order.id, 'red,blue')
  assert.deepEqual(await tags(), ['blue', 'red'])
  const left = await cl.orders._remove_tags(order.id, 'red', { include: ['tags'] })
  assert.deepEqual(all(left.tags, 'name'), ['blue'])
  const green = await cl.tags.create({ name: 'green' })
  await cl.orders.update({ id: order.id, tags: cl.tags.relationshipToMany(green.id, known.tag) })
  assert.deepEqual(await tags(), ['green', 'vip'])
  await cl.orders.update({ id: order.id, tags: cl.tags.relationshipToMany() })
  assert.deepEqual(await tags(), [])
  await cl.tags.delete(green.id)
  await cl.orders.delete(order.id)
})

test('a subscription and a copy of its order', async () => {
  const { order_subscriptions: subscriptions, orders, recurring_order_copies: copies } = cl
  const [subscription] = await subscriptions.list({ filters: { status_eq: 'active', frequency_matches: 'month%' } })
  const copy = await copies.create(
    {
      source_order: orders.relationship(known.order),
      order_subscription: subscriptions.relationship(subscription.id),
    },
    { include: ['source_order', 'order_subscription.order_subscription_items'] },
  )
  assert.equal(copy.status, 'pending')
  assert.equal(copy.source_order.id, known.order)
  assert.equal(copy.order_subscription.order_subscription_items.length, 2)
  assert.equal(await copies.target_order(copy.id), null)
  assert.deepEqual(all(await subscriptions.recurring_order_copies(subscription.id), 'id'), [copy.id])
  assert.equal((await orders.recurring_order_copies(known.order)).recordCount, 1)
})

test('what Commerce Layer\'s own applications filter by', async () => {
  const at = '2020-01-01T00:00:00.000Z'
  const filters = {
    orders: {
      id_in: [known.order],
      status_in: ['placed'],
      payment_status_eq: 'authorized',
      fulfillment_status_in: ['unfulfilled'],
      currency_code_eq: 'EUR',
      archived_at_null: true,
      number_or_customer_email_cont: 'ada',
      placed_at_gteq: at,
      created_at_gteq: at,
      updated_at_gteq: at,
      total_amount_cents_gteq: 1,
      customer_id_eq: known.customer,
      order_subscription_id_null: true,
      line_items_sku_code_in: [known.mug.code],
      tags_id_null: true,
    },
    skus: { code_start: known.mug.code, name_i_cont: 'MUG', disabled_at_null: true, do_not_ship_false: true, id_not_eq: known.shirt.id },
    prices: { sku_code_eq: known.mug.code, currency_code_eq: 'EUR' },
    stock_items: { sku_code_matches: known.mug.code },
    order_subscriptions: { frequency_matches: 'month%', customer_email_i_cont: 'ADA', next_run_at_null: true },
  }
  for (const [type, those] of Object.entries(filters)) {
    for (const [name, value] of Object.entries(those)) {
      const found = await cl[type].list({ filters: { [name]: value } }).catch((error) => assert.fail(error.first().detail))
      assert.ok(found.recordCount > 0, `${type} by ${name}`)
    }
  }
})

test('errors say what and where', async () => {
  const error = await rejection(cl.customers.create({ email: 'no', reference: 7 }))
  assert.ok(cl.isApiError(error))
  assert.deepEqual([error.status, error.code], [422, '422'])
  assert.match(error.message, /^Unprocessable/)
  assert.deepEqual(error.errors.map((one) => one.source.pointer), ['/data/attributes/email', '/data/attributes/reference'])
  assert.deepEqual([error.first().code, error.first().status], ['VALIDATION_ERROR', '422'])
  const missing = await rejection(cl.orders.retrieve('nope'))
  assert.deepEqual([missing.status, missing.first().code], [404, 'RECORD_NOT_FOUND'])
  const filter = await rejection(cl.orders.list({ filters: { nope_eq: 1 } }))
  assert.deepEqual([filter.status, filter.first().source.parameter], [400, 'filter[q][nope_eq]'])
  const stranger = await rejection(cl.orders.list({}, { accessToken: 'nobody' }))
  assert.deepEqual([stranger.status, stranger.first().code], [401, 'INVALID_TOKEN'])
})

test('raw answers, headers, interceptors', async () => {
  const reader = cl.addRawResponseReader({ headers: true })
  const { id, metadata } = await cl.customers.retrieve(known.customer)
  assert.equal(reader.rawResponse.data.id, known.customer)
  const etag = reader.headers.etag
  await cl.customers.update({ id, metadata: { ...metadata, seen: true } }, {}, { headers: { 'If-Match': etag } })
  const late = await rejection(cl.customers.update({ id, metadata }, {}, { headers: { 'If-Match': etag } }))
  assert.equal(late.status, 412)
  await cl.customers.update({ id, metadata })

  const once = { headers: { 'Idempotency-Key': 'sdk-order' } }
  const [first, again] = [await cl.orders.create({}, {}, once), await cl.orders.create({}, {}, once)]
  assert.equal(again.id, first.id)
  assert.equal(reader.headers['idempotency-replayed'], 'true')
  await cl.orders.delete(first.id)

  const asked = []
  cl.addRequestInterceptor(({ url: to, options }) => {
    asked.push(`${options.method} ${to.pathname}${to.search}`)
    return { url: to, options }
  })
  cl.addResponseInterceptor((response) => {
    asked.push(response.status)
    return response
  })
  await cl.markets.list({ pageSize: 1 })
  assert.deepEqual(asked, ['GET /api/markets?page%5Bsize%5D=1&page%5Bnumber%5D=1', 200])
})
