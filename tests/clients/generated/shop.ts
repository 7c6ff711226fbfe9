// What a shop does with the types that openapi-typescript makes of openapi.yaml: reorder, repeat link, recurring copy.

import assert from 'node:assert/strict'
import createClient from 'openapi-fetch'
import type { paths } from '#contract'

const { REPRISE_ORIGIN: baseUrl = '', REPRISE_TOKEN: token = '', REPRISE_KNOWN = '{}' } = process.env
const known: { order: string; subscription: string } = JSON.parse(REPRISE_KNOWN)

const api = createClient<paths>({
  baseUrl,
  headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/vnd.api+json' },
})
const source_order = { data: { type: 'orders', id: known.order } } as const

const reorder = await api.POST('/api/reorders', {
  params: { query: { include: ['reorder_outcomes'] } },
  body: { data: { type: 'reorders', attributes: { stock_policy: 'ignore' }, relationships: { source_order } } },
})
assert.equal(reorder.response.status, 201)
const { added_count = 0, adjusted_count = 0 } = reorder.data?.data.attributes ?? {}
assert.equal(added_count + adjusted_count, 2) // adjusted: the lines are in the cart already
const outcomes = reorder.data?.included?.filter((one) => one.type === 'reorder_outcomes') ?? []
assert.equal(outcomes.filter((one) => one.attributes?.status !== 'skipped').length, 2)

const link = await api.POST('/api/repeat_links', {
  body: { data: { type: 'repeat_links', attributes: { max_uses: 3 }, relationships: { order: source_order } } },
})
assert.equal(link.response.status, 201)
assert.match(link.data?.data.attributes?.url ?? '', /\/repeat-order\?id=.+&token=.+/)

const copy = await api.POST('/api/recurring_order_copies', {
  body: {
    data: {
      type: 'recurring_order_copies',
      relationships: {
        source_order,
        order_subscription: { data: { type: 'order_subscriptions', id: known.subscription } },
      },
    },
  },
})
assert.equal(copy.data?.data.attributes?.status, 'pending')
assert.equal(copy.data?.data.relationships?.target_order?.data, null)

// @ts-expect-error -- no such strategy
const wrong = await api.POST('/api/reorders', { body: { data: { type: 'reorders', attributes: { strategy: 'x' }, relationships: { source_order } } } })
assert.equal(wrong.error?.errors[0]?.code, 'VALIDATION_ERROR')
