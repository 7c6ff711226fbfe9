// node breaking.js <before> <after>: names every change of an OpenAPI document that breaks clients; fails if there is one.

import { readFileSync } from 'node:fs'
import { apiCompare } from 'api-smart-diff'
import { load } from 'js-yaml'

/** A document whose media types have no parameters, which the comparison takes for changes of their names. */
function read(file) {
  const plain = (value) => {
    if (Array.isArray(value)) return value.map(plain)
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.replace(/; (ext|profile)=.*/, '-$1'), plain(inner)]))
  }
  const document = plain(load(readFileSync(file, 'utf8')))
  return whole(document, document.components.schemas)
}

/** A document whose objects that are made of parts are one: the comparison looks for what is required beside it. */
function whole(value, schemas) {
  if (Array.isArray(value)) return value.map((one) => whole(one, schemas))
  if (value === null || typeof value !== 'object') return value
  const joined = (parts) => ({
    type: 'object',
    required: parts.flatMap((part) => part.required ?? []),
    properties: Object.assign({}, ...parts.map((part) => part.properties)),
  })
  const named = (part) => (part.$ref ? schemas[part.$ref.split('/').at(-1)] : part)
  const found = value.unevaluatedProperties === false ? joined(value.allOf.map(named)) : value
  return Object.fromEntries(Object.entries(found).map(([key, inner]) => [key, whole(inner, schemas)]))
}

/** A fieldset may leave out any attribute, so none is required in an answer; clients rely on them all the same. */
const taken = ({ action, path }) => action === 'remove' && path.includes('responses') && path.at(-2) === 'properties'

const [before, after] = process.argv.slice(2).map(read)
const places = new Map()
for (const diff of apiCompare(before, after).diffs) {
  if (diff.type !== 'breaking' && !taken(diff)) continue
  const [, url, method] = diff.path
  const what = `${diff.action} ${diff.path.slice(-3).join('/')}: ${JSON.stringify(diff.before)?.slice(0, 60)} -> ${JSON.stringify(diff.after)?.slice(0, 60)}`
  places.set(what, [...(places.get(what) ?? []), `${method?.toUpperCase() ?? ''} ${url}`])
}
for (const [what, where] of places) console.log(`${what}\n    ${where[0]}${where.length > 1 ? `, and ${where.length - 1} more` : ''}`)
process.exitCode = places.size ? 1 : 0
