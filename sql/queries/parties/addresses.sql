-- Addresses, and the copies that carts and orders keep for themselves.

-- name: copy
-- Copies addresses $2 as snapshots with the ids $3, for customer $4 (null: for nobody), at $5. What a guest made for a
-- cart stays that guest's.
insert into addresses (
    store_id, id, customer_id, cart_id, snapshot, business, first_name, last_name, company, line_1, line_2, city,
    zip_code, state_code, country_code, phone, email, notes, lat, lng, billing_info, created_at, updated_at
)
select
    $1 as store_id,
    copy.id,
    $4 as customer_id,
    addresses.cart_id,
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
    $5 as created_at,
    $5 as updated_at
from unnest($2::text[], $3::text[]) as copy (source_id, id)
inner join addresses
    on copy.source_id = addresses.id
where addresses.store_id = $1;
