-- name: sku_by_code
-- The sku that a shop calls so.
select skus.id
from skus
where skus.store_id = :store and skus.code = :code;

-- name: code_of_sku
-- What a shop calls a sku.
select skus.code
from skus
where skus.store_id = :store and skus.id = :sku;

-- name: take_sku_number
-- The next number of a sku, above all that were given by hand.
with used as (
    select coalesce(max(skus.number), 0) as number
    from skus
    where skus.store_id = :store
)

insert into number_blocks as block (store_id, kind, next_number)
select
    :store as store_id,
    'skus' as kind,
    used.number + 2 as next_number
from used
on conflict (store_id, kind) do update set next_number = greatest(block.next_number, excluded.next_number - 1) + 1
returning block.next_number - 1;
