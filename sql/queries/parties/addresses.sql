-- Addresses, and the copies that carts and orders keep for themselves.

-- name: write_copies
-- Copies addresses as snapshots, one per position of the lists, each for a customer (null: for nobody). With :for_guests,
-- the guest who made an address for a cart may read its copy too. Returns whose they are. Who includes it counts them.
with copy as (
    select
        given.original_id,
        given.id,
        given.customer_id
    from
        unnest((select :originals::text[]), (select :ids::text[]), (select :customers::text[]))
            as given (original_id, id, customer_id)
)

insert into addresses (
    store_id, id, customer_id, cart_id, snapshot, business, first_name, last_name, company, line_1, line_2, city,
    zip_code, state_code, country_code, phone, email, notes, lat, lng, billing_info, created_at, updated_at
)
select
    :store as store_id,
    copy.id,
    copy.customer_id,
    case when :for_guests::boolean then original.cart_id end as cart_id,
    true as snapshot,
    original.business,
    original.first_name,
    original.last_name,
    original.company,
    original.line_1,
    original.line_2,
    original.city,
    original.zip_code,
    original.state_code,
    original.country_code,
    original.phone,
    original.email,
    original.notes,
    original.lat,
    original.lng,
    original.billing_info,
    :at as created_at,
    :at as updated_at
from copy
cross join lateral (
    select addresses.*
    from addresses
    where addresses.store_id = :store and addresses.id = copy.original_id
    order by addresses.id
    limit 1
) as original
returning addresses.customer_id;

-- name: copy
-- Copies addresses, and counts the copies.
with snapshots as (
    select include('parties/addresses.write_copies')
)

insert into collection_changes (store_id, collection, delta, customers)
select
    :store as store_id,
    'addresses' as collection,
    count(*) as delta,
    array_agg(snapshots.customer_id) as customers
from snapshots
having count(*) > 0;
