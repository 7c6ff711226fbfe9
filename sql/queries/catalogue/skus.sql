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

-- name: skus_by_code
-- The skus that a shop calls so.
select
    skus.code,
    skus.id
from skus
where skus.store_id = :store and skus.code = any(:codes::text[]);

-- name: substitutes
-- What may come in the place of skus, the best first: of those that have any.
select
    skus.id as sku_id,
    array_agg(substitute.id order by given.position) as substitutes
from skus
cross join lateral unnest(skus.substitute_sku_codes) with ordinality as given (code, position)
inner join skus as substitute
    on skus.store_id = substitute.store_id and given.code = substitute.code and skus.id <> substitute.id
where skus.store_id = :store and skus.id = any(:skus::text[])
group by skus.id;

-- name: codes_beside
-- Which codes are on sale at :at among the fifty before one that there isn't and the fifty after it.
select beside.code
from (
    (
        select
            skus.code,
            skus.published_at,
            skus.disabled_at,
            skus.deleted_at
        from skus
        where skus.store_id = :store and skus.code < :code
        order by skus.code desc
        limit 50
    )
    union all
    (
        select
            skus.code,
            skus.published_at,
            skus.disabled_at,
            skus.deleted_at
        from skus
        where skus.store_id = :store and skus.code > :code
        order by skus.code
        limit 50
    )
) as beside
where beside.deleted_at is null and is_offered(beside.published_at, beside.disabled_at, :at)
order by beside.code;

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
