// npm @commercelayer/sdk, unmodified: every method that its classes of subscriptions and copies have, beside a worker.
// What is called is noted, and in the end compared with what the classes have, so that none is left out.

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

const called = new Set()

/** A resource of the SDK that notes which of its methods are called. */
const noted = (type) =>
  new Proxy(cl[type], {
    get(resource, name) {
      if (typeof resource[name] !== 'function') return resource[name]
      called.add(`${type}.${name}`)
      return (...given) => resource[name](...given)
    },
  })

const subscriptions = noted('order_subscriptions')
const items = noted('order_subscription_items')
const models = noted('subscription_models')
const recurring = noted('recurring_order_copies')
const copies = noted('order_copies')
const factories = noted('order_factories')

const { markets, orders, skus, tags } = cl
const source = orders.relationship(known.order)
const all = (list, field) => Array.from(list, (one) => one[field])
const inDays = (days) => new Date(Date.now() + days * 86_400_000).toISOString()

/** A new subscription of the shop's order, one of several that are equal. */
const subscribed = (attributes = {}) =>
  subscriptions.create({ frequency: 'monthly', allow_duplicate: true, source_order: source, ...attributes })

/** A copy once the worker is done with it. */
async function done(resource, { id }) {
  for (let tries = 0; tries < 300; tries++) {
    const copy = await resource.retrieve(id)
    if (!['pending', 'in_progress'].includes(copy.status)) return copy
    await sleep(100)
  }
  return assert.fail(`${resource.type()} ${id} was not made`)
}

/** What an answer refuses with, in short. */
async function refusal(promise) {
  const { status, errors } = await rejection(promise)
  return [status, errors[0].code, errors[0].detail]
}

const absent = (name) => [404, 'RECORD_NOT_FOUND', `Commerce Layer has ${name}, this service has not.`]
/** The refusal of a relationship whose type is there, and is not reached from here. */
const unrelated = (type) => [404, 'RECORD_NOT_FOUND', `${type} have no relationship of this name.`]

test('what the SDK does without the API', () => {
  const guards = {
    order_subscriptions: (one) => subscriptions.isOrderSubscription(one),
    order_subscription_items: (one) => items.isOrderSubscriptionItem(one),
    subscription_models: (one) => models.isSubscriptionModel(one),
    recurring_order_copies: (one) => recurring.isRecurringOrderCopy(one),
    order_copies: (one) => copies.isOrderCopy(one),
    order_factories: (one) => factories.isOrderFactory(one),
  }
  for (const resource of [subscriptions, items, models, recurring, copies, factories]) {
    const type = resource.type()
    assert.ok(guards[type]({ id: 'a', type }))
    assert.deepEqual(resource.relationship('a'), { id: 'a', type })
    assert.deepEqual(resource.relationshipToMany('a', 'b'), [{ id: 'a', type }, { id: 'b', type }])
  }
})

test('subscription models', async () => {
  const sent = { name: 'Coffee', strategy: 'by_line_items', frequencies: ['weekly', '0 7 * * MON'], auto_activate: false, auto_cancel: true }
  const made = await models.create({ ...sent, reference: 'M-1', metadata: { from: 'sdk' } })
  assert.deepEqual(Object.fromEntries(Object.keys(sent).map((name) => [name, made[name]])), sent)
  const changed = await models.update({
    id: made.id,
    name: 'Tea',
    strategy: 'by_frequency',
    frequencies: ['monthly'],
    auto_activate: true,
    auto_cancel: false,
  })
  assert.deepEqual(await models.retrieve(made.id), changed)
  assert.deepEqual(all(await models.list({ filters: { name_eq: 'Tea' } }), 'id'), [made.id])
  assert.equal(await models.count({ filters: { reference_eq: 'M-1' } }), 1)
  assert.deepEqual(all(await models.markets(made.id), 'id'), all(await markets.list(), 'id'))
  assert.equal((await models.retrieve(made.id, { include: ['markets'] })).markets.length, 1)
  assert.equal((await models.order_subscriptions(made.id)).recordCount, 0)
  assert.deepEqual(await refusal(models.attachments(made.id)), absent('attachments'))
  assert.deepEqual(await refusal(models.event_stores(made.id)), unrelated('subscription_models'))
  await models.delete(made.id)
  assert.equal((await rejection(models.retrieve(made.id))).status, 404)
})

test('subscriptions: made, read, changed, deleted', async () => {
  const [market] = await markets.list()
  const made = await subscribed({
    activate_by_source_order: true,
    place_target_order: false,
    renewal_alert_period: 48,
    starts_at: new Date().toISOString(),
    expires_at: inDays(400),
    market: markets.relationship(market.id),
    tags: tags.relationshipToMany(known.tag),
    reference: 'S-1',
    reference_origin: 'sdk',
    metadata: { box: 'large' },
  })
  assert.deepEqual([made.status, made.occurrencies, made.errors_count], ['active', 0, 0])
  const next = inDays(3)
  const changed = await subscriptions.update(
    {
      id: made.id,
      frequency: 'weekly',
      activate_by_source_order: false,
      place_target_order: true,
      renewal_alert_period: 24,
      expires_at: inDays(300),
      customer_payment_source: cl.customer_payment_sources.relationship(known.wallet),
      tags: tags.relationshipToMany(),
    },
    { include: ['customer_payment_source', 'tags', 'order_subscription_items.sku', 'source_order.billing_address'] },
  )
  assert.deepEqual([changed.frequency, changed.customer_payment_source.id, changed.tags], ['weekly', known.wallet, []])
  assert.deepEqual(all(changed.order_subscription_items, 'sku').map(({ code }) => code).sort(), [known.mug.code, known.shirt.code].sort())
  assert.equal((await subscriptions.update({ id: made.id, next_run_at: next })).next_run_at, next)
  assert.equal((await subscriptions.retrieve(made.id)).next_run_at, next)
  const found = await subscriptions.list({ filters: { reference_eq: 'S-1', status_in: ['active'] }, sort: { created_at: 'desc' } })
  assert.deepEqual(all(found, 'id'), [made.id])
  assert.equal(await subscriptions.count({ filters: { next_run_at_gt: inDays(2), next_run_at_lt: inDays(4) } }), 1)
  assert.equal((await refusal(subscriptions.delete(made.id)))[0], 409)
  const draft = await subscribed({ activate_by_source_order: false, starts_at: inDays(1) })
  assert.equal(draft.status, 'draft')
  await subscriptions.delete(draft.id)
  assert.equal((await rejection(subscriptions.retrieve(draft.id))).status, 404)
})

test('subscriptions: triggers', async () => {
  const { id } = await subscribed()
  const names = async () => all(await subscriptions.tags(id, { sort: ['name'] }), 'name')
  await subscriptions._add_tags(id, 'red,blue')
  assert.deepEqual(await names(), ['blue', 'red'])
  await subscriptions._remove_tags(id, 'red')
  assert.deepEqual(await names(), ['blue'])
  assert.equal((await subscriptions._deactivate(id)).status, 'inactive')
  assert.equal((await subscriptions._activate(id, { fields: ['status'] })).status, 'active')
  const [status, code, detail] = await refusal(subscriptions._convert(id))
  assert.deepEqual([status, code], [400, 'INVALID_DATA_FORMAT'])
  assert.match(detail, /^order_subscriptions have no trigger _convert; theirs are: _activate, _deactivate, /)
  const cancelled = await subscriptions._cancel(id)
  assert.deepEqual([cancelled.status, cancelled.next_run_at], ['cancelled', null])
  assert.deepEqual((await refusal(subscriptions._activate(id))).slice(0, 2), [409, 'INVALID_STATE'])
  assert.ok(all(await subscriptions.events(id), 'name').includes('order_subscriptions.cancel'))
})

test('items of subscriptions', async () => {
  const { id } = await subscribed()
  const subscription = subscriptions.relationship(id)
  const [copied] = await subscriptions.order_subscription_items(id, { filters: { sku_code_eq: known.mug.code } })
  assert.equal((await items.source_line_item(copied.id)).sku_code, known.mug.code)
  await items.delete(copied.id)
  const mug = skus.relationship(known.mug.id)
  const ways = [{ sku_code: known.mug.code }, { item: mug }, { sku_code: known.mug.code, item: mug }]
  for (const way of ways) {
    const made = await items.create({ ...way, quantity: 2, order_subscription: subscription }, { include: ['sku'] })
    assert.deepEqual([made.sku.id, made.sku_code, made.total_amount_cents], [known.mug.id, known.mug.code, 2500])
    const changed = await items.update({ id: made.id, quantity: 3, unit_amount_cents: 1000, reference: 'I-1' })
    assert.equal(changed.total_amount_cents, 3000)
    const moved = await items.update({ id: made.id, sku_code: known.shirt.code })
    assert.equal(moved.sku_code, known.shirt.code)
    assert.deepEqual(await items.retrieve(made.id), moved)
    assert.deepEqual(all(await items.list({ filters: { order_subscription_id_eq: id, reference_eq: 'I-1' } }), 'id'), [made.id])
    assert.equal((await items.order_subscription(made.id)).id, id)
    assert.equal(await items.source_line_item(made.id), null)
    assert.deepEqual(await refusal(items.event_stores(made.id)), unrelated('order_subscription_items'))
    await items.delete(made.id)
  }
  assert.equal(await items.count({ filters: { order_subscription_id_eq: id } }), 1)
  const contrary = { sku_code: known.shirt.code, item: mug }
  for (const wrong of [{}, contrary, { bundle_code: 'BOX' }, { item: cl.bundles.relationship('box') }]) {
    const [status] = await refusal(items.create({ ...wrong, quantity: 1, order_subscription: subscription }))
    assert.ok([409, 422].includes(status), `${status}`)
  }
})

test('what belongs to a subscription, and its runs', async () => {
  const [market] = await markets.list()
  const { id } = await subscribed({ market: markets.relationship(market.id) })
  const made = await recurring.create(
    {
      source_order: source,
      order_subscription: subscriptions.relationship(id),
      place_target_order: false,
      reuse_wallet: true,
      reference: 'R-1',
    },
    { include: ['source_order', 'order_subscription'] },
  )
  assert.deepEqual([made.status, made.source_order.id, made.order_subscription.id], ['pending', known.order, id])
  const copy = await done(recurring, made)
  assert.deepEqual([copy.status, copy.errors_log, copy.errors_count], ['completed', null, 0])
  const target = await recurring.target_order(copy.id)
  assert.equal(target.status, 'pending')
  assert.equal((await recurring.source_order(copy.id)).id, known.order)
  assert.equal((await recurring.order_subscription(copy.id)).id, id)
  const told = ['create', 'start', 'complete'].map((verb) => `recurring_order_copies.${verb}`)
  assert.deepEqual(all(await recurring.events(copy.id, { sort: ['created_at', 'id'] }), 'name').sort(), told.sort())
  assert.deepEqual(await refusal(recurring.event_stores(copy.id)), unrelated('recurring_order_copies'))
  assert.deepEqual(all(await recurring.list({ filters: { order_subscription_id_eq: id, status_eq: 'completed' } }), 'id'), [copy.id])
  assert.equal(await recurring.count({ filters: { reference_eq: 'R-1' } }), 1)

  assert.equal((await subscriptions.market(id)).id, market.id)
  assert.equal(await subscriptions.subscription_model(id), null)
  assert.equal((await subscriptions.source_order(id)).id, known.order)
  assert.equal((await subscriptions.customer(id)).id, known.customer)
  assert.equal(await subscriptions.customer_payment_source(id), null)
  assert.equal((await subscriptions.order_subscription_items(id)).recordCount, 2)
  assert.deepEqual(all(await subscriptions.order_factories(id), 'id'), [copy.id])
  assert.deepEqual(all(await subscriptions.recurring_order_copies(id), 'id'), [copy.id])
  assert.deepEqual(all(await subscriptions.orders(id), 'id'), [target.id])
  assert.ok(all(await subscriptions.events(id), 'name').includes('order_subscriptions.last_run_succeeded'))
  assert.deepEqual(await refusal(subscriptions.event_stores(id)), unrelated('order_subscriptions'))
  const { occurrencies, succeeded_on_last_run: succeeded } = await subscriptions.retrieve(id)
  assert.deepEqual([occurrencies, succeeded], [1, true])

  const own = { reference: 'R-2', reference_origin: 'sdk', metadata: { seen: true } }
  const changed = await recurring.update({ id: copy.id, ...own })
  assert.deepEqual([changed.reference, changed.reference_origin, changed.metadata], Object.values(own))
  await recurring.delete(copy.id)
  assert.equal((await rejection(recurring.retrieve(copy.id))).status, 404)
  assert.equal((await orders.retrieve(target.id, { include: ['order_subscription'] })).order_subscription.id, id)
})

test('copies that are asked for once', async () => {
  const made = await copies.create({
    source_order: source,
    place_target_order: false,
    reuse_wallet: true,
    cancel_source_order: false,
    apply_promotions: true,
    skip_errors: true,
    ignore_invalid_coupon: true,
    reference: 'O-1',
  })
  const copy = await done(copies, made)
  assert.equal(copy.status, 'completed')
  assert.equal((await copies.source_order(copy.id)).id, known.order)
  assert.equal((await copies.target_order(copy.id)).status, 'pending')
  assert.equal(await copies.order_subscription(copy.id), null)
  const told = ['complete', 'create', 'start', 'update'].map((verb) => `order_copies.${verb}`)
  assert.deepEqual(await refusal(copies.event_stores(copy.id)), unrelated('order_copies'))
  assert.deepEqual(all(await copies.list({ filters: { reference_eq: 'O-1' }, include: ['target_order'] }), 'id'), [copy.id])
  assert.equal(await copies.count({ filters: { reference_eq: 'O-1' } }), 1)
  assert.deepEqual((await copies.update({ id: copy.id, metadata: { seen: true } })).metadata, { seen: true })
  assert.deepEqual(all(await copies.events(copy.id), 'name').sort(), told)

  const [factory] = await factories.list({ filters: { source_order_id_eq: known.order, reference_eq: 'O-1' } })
  assert.deepEqual([factory.id, factory.type, factory.status], [copy.id, 'order_factories', 'completed'])
  assert.equal((await factories.retrieve(copy.id, { include: ['target_order'] })).target_order.status, 'pending')
  assert.equal(await factories.count({ filters: { id_in: [copy.id] } }), 1)
  assert.equal((await factories.source_order(copy.id)).id, known.order)
  assert.equal((await factories.target_order(copy.id)).id, (await copies.target_order(copy.id)).id)
  assert.deepEqual(all(await factories.events(copy.id), 'name').sort(), told)
  assert.deepEqual(await refusal(factories.event_stores(copy.id)), unrelated('order_factories'))

  await copies.delete(copy.id)
  assert.equal((await rejection(copies.retrieve(copy.id))).status, 404)
  assert.equal(await factories.count({ filters: { id_in: [copy.id] } }), 0)
})

test('no method is left out', () => {
  const methods = (type) => {
    const own = Object.getPrototypeOf(cl[type])
    return [own, Object.getPrototypeOf(own)] // and not what they share inside
      .flatMap((prototype) => Object.getOwnPropertyNames(prototype))
      .filter((name) => name !== 'constructor' && typeof cl[type][name] === 'function')
      .map((name) => `${type}.${name}`)
  }
  const types = ['order_subscriptions', 'order_subscription_items', 'subscription_models', 'recurring_order_copies', 'order_copies', 'order_factories']
  const wanted = types.flatMap(methods)
  assert.ok(wanted.length > 80, `${wanted.length}`)
  assert.deepEqual(wanted.filter((method) => !called.has(method)), [])
})

test('all types of Commerce Layer that there are not say so', async () => {
  const { types } = (await (await fetch(new URL('/api', url), { headers: { Authorization: `Bearer ${token}` } })).json()).meta
  for (const type of cl.resources().filter((name) => cl[name] && !(name in types))) {
    const [status, code, detail] = await refusal(cl[type].retrieve('a'))
    assert.deepEqual([status, code], [404, 'RECORD_NOT_FOUND'], type)
    assert.equal(detail, `Commerce Layer has ${type}, this service has not; GET /api lists what it has.`)
  }
})
