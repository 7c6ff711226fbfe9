// What the programs of this folder are told about the shop that they work in.

import { inspect } from 'node:util'

inspect.defaultOptions.depth = 6 // so that a failure shows what an error of the API says

export const url = process.env.REPRISE_URL
export const token = process.env.REPRISE_TOKEN
export const authorization = { Authorization: `Bearer ${token}` }

/** Ids and codes of what is there already: see `shop` in conftest.py. */
export const known = JSON.parse(process.env.REPRISE_KNOWN)

/** What a promise is rejected with; an error when it is not. */
export async function rejection(promise) {
  const value = await promise.then(
    () => undefined,
    (error) => error ?? new Error('rejected with nothing'),
  )
  if (value === undefined) throw new Error('should have been rejected')
  return value
}
