// npm @commercelayer/js-auth and @commercelayer/sdk-utils, whose hosts are fixed: auth.<domain> and <organization>.<domain>,
// by https. names.cjs leads these names here.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  authenticate,
  createAssertion,
  getCoreApiBaseEndpoint,
  jwtDecode,
  jwtIsIntegration,
  jwtIsSalesChannel,
  jwtVerify,
  makeIntegration,
  makeSalesChannel,
  revoke,
} from '@commercelayer/js-auth'
import { CommerceLayer } from '@commercelayer/sdk/bundle'
import CommerceLayerUtils, { executeBatch, retrieveAll, retrievePage, updateAll } from '@commercelayer/sdk-utils'
import { known } from './shop.js'

const { domain, organization, integration, channel, customer } = known
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

const memory = (name) => {
  const kept = new Map()
  return {
    name,
    getItem: async (key) => kept.get(key) ?? null,
    setItem: async (key, value) => void kept.set(key, value),
    removeItem: async (key) => void kept.delete(key),
  }
}

const status = async (token, path) => {
  const answer = await fetch(`https://${organization.slug}.${domain}/api/${path}`, {
    headers: { Authorization: `Bearer ${token}`, Accept: 'application/vnd.api+json' },
  })
  return answer.status
}

const assertion = () =>
  createAssertion({ payload: { 'https://commercelayer.io/claims': { owner: { type: 'Customer', id: customer } } } })

test('client credentials: the token decodes, verifies and leads to the API', async () => {
  const got = await authenticate('client_credentials', { ...integration, domain, scope: 'market:all' })
  assert.equal(got.errors, undefined)
  assert.deepEqual([got.tokenType, got.expiresIn, got.scope], ['bearer', 7200, 'market:all'])
  assert.ok(got.expires > new Date())
  const { header, payload } = jwtDecode(got.accessToken)
  assert.equal(header.alg, 'RS512')
  assert.equal(payload.iss, `https://auth.${domain}`)
  assert.deepEqual(payload.organization, { ...organization, enterprise: false, region: '' })
  assert.ok(jwtIsIntegration(payload))
  assert.ok(!jwtIsSalesChannel(payload))
  assert.equal(getCoreApiBaseEndpoint(got.accessToken), `https://${organization.slug}.${domain}`)
  assert.deepEqual((await jwtVerify(got.accessToken)).payload, payload)
  const [head, body, signature] = got.accessToken.split('.')
  await assert.rejects(jwtVerify([head, body, signature.slice(0, -8) + 'AAAAAAAA'].join('.')))

  const cl = CommerceLayer({ organization: organization.slug, domain, accessToken: got.accessToken })
  assert.equal(await cl.customers.count({ reference_eq: 'paged' }), known.many)
})

test('a refusal is a list of errors', async () => {
  const wrong = await authenticate('client_credentials', { ...integration, clientSecret: 'wrong', domain })
  assert.equal(wrong.errors[0].status, 401)
  assert.equal(wrong.errors[0].meta.error, 'invalid_client')
  const password = await authenticate('password', { ...channel, domain, username: 'ada@example.com', password: 'x' })
  assert.equal(password.errors[0].meta.error, 'unsupported_grant_type')
})

test('jwt bearer and refresh token: a customer', async () => {
  const got = await authenticate(JWT_BEARER, { ...channel, domain, assertion: await assertion() })
  assert.deepEqual([got.ownerId, got.ownerType], [customer, 'customer'])
  const { payload } = jwtDecode(got.accessToken)
  assert.deepEqual(payload.owner, { type: 'Customer', id: customer })
  assert.ok(jwtIsSalesChannel(payload))
  const next = await authenticate('refresh_token', { clientId: channel.clientId, domain, refreshToken: got.refreshToken })
  assert.equal(next.ownerId, customer)
  assert.equal(await status(next.accessToken, `customers/${customer}`), 200)
})

test('revoke', async () => {
  const got = await authenticate('client_credentials', { ...integration, domain })
  assert.equal(await status(got.accessToken, 'customers'), 200)
  assert.deepEqual(await revoke({ ...integration, token: got.accessToken }), {})
  assert.equal(await status(got.accessToken, 'customers'), 401)
})

test('makeIntegration keeps its token until it is revoked', async () => {
  const held = makeIntegration({ ...integration, domain }, { storage: memory('memory') })
  const first = await held.getAuthorization()
  assert.equal(first.ownerType, 'guest')
  assert.equal((await held.getAuthorization()).accessToken, first.accessToken)
  await held.revokeAuthorization()
  assert.equal(await status(first.accessToken, 'customers'), 401)
  assert.notEqual((await held.getAuthorization()).accessToken, first.accessToken)
})

test('makeSalesChannel: a guest, then a customer, then a guest again', async () => {
  const shop = makeSalesChannel({ clientId: channel.clientId, domain }, { storage: memory('memory') })
  const guest = await shop.getAuthorization()
  assert.equal(guest.ownerType, 'guest')
  assert.equal(await status(guest.accessToken, 'skus'), 200)
  assert.equal(await status(guest.accessToken, `customers/${customer}`), 404)
  const got = await authenticate(JWT_BEARER, { ...channel, domain, assertion: await assertion() })
  await shop.setCustomer({ accessToken: got.accessToken, refreshToken: got.refreshToken, scope: got.scope })
  const signedIn = await shop.getAuthorization()
  assert.deepEqual([signedIn.ownerType, signedIn.ownerId], ['customer', customer])
  assert.equal(await status(signedIn.accessToken, `customers/${customer}`), 200)
  await shop.logoutCustomer()
  assert.equal(await status(signedIn.accessToken, `customers/${customer}`), 401)
  assert.equal((await shop.getAuthorization()).ownerType, 'guest')
})

test('sdk-utils with a token of ours: all, a page, many changed, a batch', async () => {
  const { accessToken } = await authenticate('client_credentials', { ...integration, domain })
  const cl = CommerceLayer({ organization: organization.slug, domain, accessToken })
  CommerceLayerUtils(cl)
  const paged = () => ({ reference_eq: 'paged' }) // it writes into the filters that it is given
  const all = await retrieveAll('customers', { filters: paged() })
  assert.equal(all.length, known.many)
  assert.equal(new Set(Array.from(all, (one) => one.id)).size, known.many)
  const page = await retrievePage('customers', { filters: paged(), pageNumber: 1, pageSize: 25 })
  assert.equal(page.length, 25)
  assert.equal((await retrievePage('customers', { filters: paged(), pageNumber: 2, pageSize: 20 })).length, known.many - 20)
  const changed = await updateAll('customers', { reference_origin: 'utils' }, { filters: paged() })
  assert.equal(changed.processed, known.many)
  assert.equal(await cl.customers.count({ reference_origin_eq: 'utils' }), known.many)
  const done = []
  const task = (email) => ({
    resourceType: 'customers',
    operation: 'create',
    resource: { email },
    onSuccess: { callback: (made) => void done.push(made.email) },
  })
  await executeBatch({ tasks: [task('one@example.com'), task('two@example.com')] })
  assert.deepEqual(done.sort(), ['one@example.com', 'two@example.com'])
})
