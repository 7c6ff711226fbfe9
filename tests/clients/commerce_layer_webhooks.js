// npm @commercelayer/sdk, unmodified: webhooks are made, changed, stopped, started, reset and listed, beside a worker that
// tells a receiver; and what it was told is checked as Commerce Layer documents it, and by npm's standardwebhooks.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CommerceLayer } from '@commercelayer/sdk/bundle'
import { Webhook } from 'standardwebhooks'
import { known, rejection, token, url } from './shop.js'

const here = (input, init) => {
  const { pathname, search } = new URL(input)
  return fetch(new URL(pathname + search, url), init)
}
const cl = CommerceLayer({ organization: 'shop', accessToken: token, fetch: here })
const { webhooks, event_callbacks, events, customers } = cl

/** What the receiver was sent, once it is so much. */
async function sent(path, number) {
  for (let tries = 0; tries < 200; tries++) {
    const found = await (await fetch(`${known.receiver}/?of=${path}`)).json()
    if (found.length >= number) return found
    await sleep(100)
  }
  return assert.fail(`${path} was not sent ${number} times`)
}

/** What somebody answers once it holds. */
async function until(ask, holds) {
  for (let tries = 0; tries < 200; tries++) {
    const found = await ask()
    if (holds(found)) return found
    await sleep(100)
  }
  return assert.fail('it never came')
}

const made = (path, attributes = {}) =>
  webhooks.create({ topic: 'customers.create', callback_url: `${known.receiver}${path}`, ...attributes })

test('create, retrieve, update, list, count, delete', async () => {
  const webhook = await made('/ok/crud', { name: 'CRM', include_resources: ['tags'] })
  assert.deepEqual([webhook.circuit_state, webhook.circuit_failure_count, webhook.disabled_at], ['closed', 0, null])
  assert.deepEqual(webhook.include_resources, ['tags'])
  assert.match(webhook.shared_secret, /^whsec_/)
  assert.equal((await webhooks.retrieve(webhook.id)).shared_secret, webhook.shared_secret)
  const changed = await webhooks.update({ id: webhook.id, name: 'Mail', topic: 'customers.update', reference: 'mine' })
  assert.deepEqual([changed.name, changed.topic], ['Mail', 'customers.update'])
  const listed = await webhooks.list({ filters: { name_eq: 'Mail', topic_eq: 'customers.update' }, sort: { created_at: 'desc' } })
  assert.deepEqual(Array.from(listed, (one) => one.id), [webhook.id])
  assert.equal(await webhooks.count({ filters: { circuit_state_eq: 'closed', reference_eq: 'mine' } }), 1)
  await webhooks.delete(webhook.id)
  assert.equal((await rejection(webhooks.retrieve(webhook.id))).status, 404)
})

test('disable, enable', async () => {
  const webhook = await made('/ok/stopped', { _disable: true })
  assert.notEqual(webhook.disabled_at, null)
  assert.equal((await webhooks._enable(webhook.id)).disabled_at, null)
  assert.notEqual((await webhooks._disable(webhook.id)).disabled_at, null)
  await webhooks.delete(webhook.id)
})

test('deliveries are signed as Commerce Layer says, and as Standard Webhooks says', async () => {
  const webhook = await made('/ok/signed')
  const customer = await customers.create({ email: `${webhook.id}@example.com`.toLowerCase() })
  const [{ headers, body }] = await sent('/ok/signed', 1)
  // https://docs.commercelayer.io/core/callbacks-security
  const hash = createHmac('sha256', webhook.shared_secret).update(body).digest('base64')
  assert.equal(headers['x-commercelayer-signature'], hash)
  assert.equal(headers['x-commercelayer-topic'], 'customers.create')
  const { data } = new Webhook(webhook.shared_secret).verify(body, headers)
  assert.deepEqual([data.type, data.id, data.attributes.email], ['customers', customer.id, customer.email])
  assert.throws(() => new Webhook(webhook.shared_secret).verify(body.replace('customers', 'customer5'), headers))

  const last = () => webhooks.last_event_callbacks(webhook.id)
  const [callback] = await until(last, (found) => found[0]?.status === 'delivered')
  assert.deepEqual([callback.response_code, callback.response_message], ['200', 'noted'])
  assert.equal(callback.payload.data.id, customer.id)
  const retrieved = await event_callbacks.retrieve(callback.id, { include: ['webhook'] })
  assert.deepEqual([retrieved.webhook.id, retrieved.callback_url], [webhook.id, webhook.callback_url])
  assert.equal((await event_callbacks.webhook(callback.id)).id, webhook.id)
  assert.equal((await event_callbacks.list({ filters: { webhook_id_eq: webhook.id, response_code_eq: '200' } })).recordCount, 1)
  const event = await events.retrieve(headers['webhook-id'])
  assert.equal(event.name, 'customers.create')
  assert.deepEqual(Array.from(await events.last_event_callbacks(event.id), (one) => one.id), [callback.id])
  assert.deepEqual(Array.from(await events.webhooks(event.id), (one) => one.id), [webhook.id])
  const named = await events.list({ filters: { name_eq: 'customers.create' }, sort: { created_at: 'desc' }, pageSize: 1 })
  assert.equal(named.first().name, 'customers.create')
  await webhooks.delete(webhook.id)
})

test('an event is triggered: whoever has its topic is told again, under its id', async () => {
  const customer = await customers.create({ email: 'triggers@example.com' })
  const [event] = await events.list({ filters: { resource_id_eq: customer.id, name_eq: 'customers.create' } })
  assert.deepEqual((await rejection(events._trigger(event.id))).status, 409)
  const webhook = await made('/ok/triggered')
  assert.equal((await events._trigger(event.id)).id, event.id)
  await sent('/ok/triggered', 1)
  const updated = await events.update({ id: event.id, _trigger: true }, { fields: { events: ['name'] } })
  assert.equal(updated.name, 'customers.create')
  const told = await sent('/ok/triggered', 2)
  assert.deepEqual(told.map(({ headers }) => headers['webhook-id']), [event.id, event.id])
  assert.equal((await events.update(event)).updated_at, event.updated_at)
  assert.equal((await rejection(events.update({ id: event.id, reference: 'mine' }))).status, 403)
  assert.deepEqual(Array.from(await events.webhooks(event), (one) => one.id), [webhook.id])
  assert.equal(await events.count({ filters: { resource_id_eq: event.id, name_eq: 'events.trigger' } }), 2)
  await webhooks.delete(webhook.id)
})

test('who did what to a webhook, an event and a delivery', async () => {
  const webhook = await made('/ok/audited')
  await webhooks._disable(webhook.id)
  await webhooks._enable(webhook)
  const entries = await webhooks.event_stores(webhook.id, { sort: { position: 'asc' } })
  const names = Array.from(entries, (one) => one.name)
  assert.deepEqual(names.filter((name) => name !== 'webhooks.update'), ['webhooks.create', 'webhooks.disable', 'webhooks.enable'])
  assert.ok(Array.from(entries).every((one) => one.who.token.id && one.resource_id === webhook.id))
  const [event] = await events.list({ filters: { resource_id_eq: webhook.id, name_eq: 'webhooks.create' } })
  await webhooks.update({ id: webhook.id, topic: 'webhooks.create' })
  await events._trigger(event)
  assert.deepEqual(Array.from(await events.event_stores(event.id), (one) => one.event), ['trigger'])
  const [callback] = await events.last_event_callbacks(event)
  assert.equal((await event_callbacks.event_stores(callback.id)).recordCount, 0)
  await webhooks.delete(webhook.id)
})

test('what the SDK does without the API', () => {
  const guards = [
    [webhooks, (one) => webhooks.isWebhook(one)],
    [events, (one) => events.isEvent(one)],
    [event_callbacks, (one) => event_callbacks.isEventCallback(one)],
  ]
  for (const [resource, guard] of guards) {
    const type = resource.type()
    assert.ok(guard({ id: 'a', type }))
    assert.deepEqual(resource.relationship('a'), { id: 'a', type })
    assert.deepEqual(resource.relationshipToMany('a', 'b'), [{ id: 'a', type }, { id: 'b', type }])
  }
})

test('a receiver that fails is counted, and its circuit is reset', async () => {
  const webhook = await made('/fail/counted')
  await customers.create({ email: `${webhook.id}.fails@example.com`.toLowerCase() })
  const found = await until(() => webhooks.retrieve(webhook.id), (one) => one.circuit_failure_count > 0)
  assert.deepEqual([found.circuit_state, found.health, found.health_reason], ['closed', 'failing', '500 no'])
  await webhooks.update({ id: webhook.id, callback_url: `${known.receiver}/ok/counted` })
  const reset = await webhooks._reset_circuit(webhook.id)
  assert.deepEqual([reset.circuit_failure_count, reset.circuit_state], [0, 'closed'])
  await sent('/ok/counted', 1)
  await webhooks.delete(webhook.id)
})
