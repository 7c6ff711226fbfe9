// Says whether AsyncAPI documents are valid, by AsyncAPI's own parser: node asyncapi.js FILE. Complaints go to standard error.

import { readFileSync } from 'node:fs'
import { Parser } from '@asyncapi/parser'

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'))
const complaints = diagnostics.filter(({ severity }) => severity < 2)
for (const { message, path, code } of complaints) console.error(`${path.join('.')}: ${message} (${code})`)
if (document === undefined || complaints.length > 0) process.exitCode = 1
else console.log(`${document.allChannels().length} channels, ${document.allMessages().length} messages`)
