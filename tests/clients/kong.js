// node kong.js <openapi-3.0.json>: the routes that Kong's importer makes of it, as JSON: [{ methods, paths }].

import { readFileSync } from 'node:fs'
import { generateFromString } from 'openapi-2-kong'

const document = JSON.parse(readFileSync(process.argv[2], 'utf8'))
// Kong passes tokens on, and its importer knows none that are sent as Bearer.
for (const item of Object.values(document.paths)) {
  for (const operation of Object.values(item)) delete operation.security
}
const made = await generateFromString(JSON.stringify(document), 'kong-declarative-config')
const routes = made.documents[0].services.flatMap((service) => service.routes)
console.log(JSON.stringify(routes.map(({ methods, paths }) => ({ methods, paths }))))
