-- Addresses, and the copies that carts and orders keep for themselves.

-- name: write_copies
-- Copies addresses as snapshots, one per position of the lists, each for a customer (null: for nobody). With :for_guests,
-- the guest who made an address for a cart may read its copy too. Returns whose they are. Who includes it counts them.
insert into addresses (
    store_id, id, customer_id, cart_id, snapshot, business, first_name, last_name, company, line_1, line_2, city,
    zip_code, state_code, country_code, phone, email, notes, lat, lng, billing_info, created_at, updated_at
)
select
    :store as store_id,
    copy.id,
    copy.customer_id,
    case when :for_guests::boolean then addresses.cart_id end as cart_id,
    true as snapshot,
    addresses.business,
    addresses.first_name,
    addresses.last_name,
    addresses.company,
    addresses.line_1,
    addresses.line_2,
    addresses.city,
    addresses.zip_code,
    addresses.state_code,
    addresses.country_code,
    addresses.phone,
    addresses.email,
    addresses.notes,
    addresses.lat,
    addresses.lng,
    addresses.billing_info,
    :at as created_at,
    :at as updated_at
from
    unnest((select :originals::text[]), (select :ids::text[]), (select :customers::text[]))
        as copy (original_id, id, customer_id)
inner join addresses
    on copy.original_id = addresses.id
where addresses.store_id = :store and addresses.id = any(array(select unnest(:originals::text[])))
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
