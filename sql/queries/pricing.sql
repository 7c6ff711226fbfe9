-- What skus cost and whether they can be bought.

-- name: catalogue
-- Skus $2 as they can be bought at $5 in currency $3 by a member of customer group $4 (null: of none): every price
-- that applies then, the lowest first, and the stock where it is tracked.
select
    skus.id,
    skus.number,
    skus.code,
    skus.name,
    skus.image_url,
    skus.options,
    skus.min_quantity,
    skus.max_quantity,
    skus.step_quantity,
    skus.tax_rate,
    skus.reorderable,
    coalesce(skus.published_at <= $5, true) as published,
    coalesce(skus.disabled_at <= $5, false) as disabled,
    skus.deleted_at is not null as deleted,
    (
        select
            array_agg(
                row(prices.min_quantity, prices.amount_cents, prices.compare_at_amount_cents)
                order by prices.amount_cents, prices.id
            )
        from prices
        where
            prices.store_id = $1 and prices.sku_id = skus.id and prices.currency_code = $3
            and (prices.customer_group_id is null or prices.customer_group_id = $4)
            and coalesce(prices.starts_at <= $5, true) and coalesce(prices.expires_at > $5, true)
    ) as prices,
    exists(
        select from prices
        where
            prices.store_id = $1 and prices.sku_id = skus.id and prices.currency_code <> $3
            and (prices.customer_group_id is null or prices.customer_group_id = $4)
            and coalesce(prices.starts_at <= $5, true) and coalesce(prices.expires_at > $5, true)
    ) as priced_elsewhere,
    case when not skus.do_not_track then stock_items.quantity end as stock
from skus
left join stock_items
    on skus.store_id = stock_items.store_id and skus.id = stock_items.sku_id
where skus.store_id = $1 and skus.id = any($2::text[]);
