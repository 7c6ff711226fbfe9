// Fastify, pg and ts-japi over the store's tables, with statements written by hand: no tokens, negotiation or fieldsets.
//
// libpq's environment says where the database is, BENCH_COLUMNS which columns each type has. The last argument is the port.

import Fastify from 'fastify';
import pg from 'pg';
import { Linker, Relator, Serializer } from 'ts-japi';

const columns = JSON.parse(process.env.BENCH_COLUMNS);
const store = Number(process.env.BENCH_STORE);
const number = (text) => Number(text);
pg.types.setTypeParser(pg.types.builtins.INT8, number);
const pool = new pg.Pool({ max: 16 });

const listed = (type, alias) => columns[type].map((column) => `${alias}.${column}`).join(', ');
const ORDER = `${listed('orders', 'o')}, o.customer_id, o.billing_address_id, o.shipping_address_id`;
const statements = {
  order: `select ${ORDER} from orders as o where o.store_id = $1 and o.id = $2`,
  page: `select ${ORDER} from orders as o where o.store_id = $1 and o.id > $2 order by o.id limit $3`,
  numbered: `select ${ORDER} from orders as o where o.store_id = $1 order by o.id limit $2 offset $3`,
  count: 'select count(*) from orders where store_id = $1',
  ofCustomer: `select ${ORDER} from orders as o where o.store_id = $1 and o.customer_id = $2 order by o.id limit 25`,
  lines: `select ${listed('line_items', 'l')}, l.order_id from line_items as l where l.store_id = $1 and l.order_id = any($2)`,
  customer: `select ${listed('customers', 'c')} from customers as c where c.store_id = $1 and c.id = $2`,
  addresses: `select ${listed('addresses', 'a')} from addresses as a where a.store_id = $1 and a.id = any($2)`,
};
// Named: prepared once for each connection.
const query = async (name, values) => (await pool.query({ name, text: statements[name], values })).rows;

const shown = (type) => Object.fromEntries(columns[type].filter((name) => name !== 'id').map((name) => [name, 1]));
const linked = (type) => ({
  projection: shown(type),
  linkers: { resource: new Linker((row) => `http://127.0.0.1/${type}/${row.id}`) },
});
const lines = new Serializer('line_items', linked('line_items'));
const customers = new Serializer('customers', linked('customers'));
const addresses = new Serializer('addresses', linked('addresses'));
const orders = new Serializer('orders', linked('orders'));
const withLines = new Serializer('orders', {
  ...linked('orders'),
  include: 1,
  relators: { line_items: new Relator(async (order) => order.lines, lines, { relatedName: 'line_items' }) },
});
const whole = new Serializer('orders', {
  ...linked('orders'),
  include: 1,
  relators: {
    line_items: new Relator(async (order) => order.lines, lines, { relatedName: 'line_items' }),
    customer: new Relator(async (order) => order.customer, customers, { relatedName: 'customer' }),
    billing_address: new Relator(async (order) => order.billing, addresses, { relatedName: 'billing_address' }),
    shipping_address: new Relator(async (order) => order.shipping, addresses, { relatedName: 'shipping_address' }),
  },
});

const fill = async (found) => {
  const byId = new Map(found.map((order) => [order.id, Object.assign(order, { lines: [] })]));
  for (const line of await query('lines', [store, [...byId.keys()]])) byId.get(line.order_id).lines.push(line);
};

const app = Fastify();
const send = (reply, document) => reply.type('application/vnd.api+json').send(JSON.stringify(document));

app.get('/orders/:id', async (request, reply) => {
  const [order] = await query('order', [store, request.params.id]);
  if (!order) return reply.code(404).send();
  if (!request.query.include) return send(reply, await orders.serialize(order));
  const [, [customer], found] = await Promise.all([
    fill([order]),
    query('customer', [store, order.customer_id]),
    query('addresses', [store, [order.billing_address_id, order.shipping_address_id]]),
  ]);
  const byId = new Map(found.map((address) => [address.id, address]));
  order.customer = customer;
  order.billing = byId.get(order.billing_address_id);
  order.shipping = byId.get(order.shipping_address_id);
  return send(reply, await whole.serialize(order));
});

app.get('/orders', async (request, reply) => {
  const { after, customer } = request.query;
  if (customer !== undefined) {
    const found = await query('ofCustomer', [store, customer]);
    await fill(found);
    return send(reply, await withLines.serialize(found));
  }
  if (after !== undefined) return send(reply, await orders.serialize(await query('page', [store, after, 25])));
  const size = Number(request.query['page[size]']);
  const [found, [{ count }]] = await Promise.all([
    query('numbered', [store, size, size * (Number(request.query['page[number]']) - 1)]),
    query('count', [store]),
  ]);
  return send(reply, { ...(await orders.serialize(found)), meta: { record_count: count } });
});

await app.listen({ host: '127.0.0.1', port: Number(process.argv[2]) });
