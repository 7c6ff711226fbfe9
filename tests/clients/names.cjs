// Leads the names of a domain to this machine: `node --require ./names.cjs`, with the domain in REPRISE_DOMAIN.

const dns = require('node:dns')

const [domain] = process.env.REPRISE_DOMAIN.split(':')
const lookup = dns.lookup

dns.lookup = (name, options, done) => {
  const here = name.endsWith(`.${domain}`) ? '127.0.0.1' : name
  return lookup(here, options, done)
}
