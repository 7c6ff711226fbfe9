-- name: reprice
-- Gives lines their prices of today: $3 is a JSON array of what they come to.
update line_items
set
    unit_amount_cents = given.unit_amount_cents,
    compare_at_amount_cents = given.compare_at_amount_cents,
    discount_cents = given.discount_cents,
    total_amount_cents = given.total_amount_cents + line_items.options_amount_cents,
    tax_rate = given.tax_rate,
    tax_amount_cents = given.tax_amount_cents,
    updated_at = $4,
    version = line_items.version + 1
from
    jsonb_to_recordset($3::jsonb) as given (
        id text, unit_amount_cents bigint, compare_at_amount_cents bigint, discount_cents bigint,
        total_amount_cents bigint, tax_rate numeric, tax_amount_cents bigint
    )
where line_items.store_id = $1 and line_items.order_id = $2 and line_items.id = given.id;

-- name: discount
-- Sets what promotions and the coupon ($4) take off an order, and whether its prices include taxes, as its store has it.
update orders
set
    discount_amount_cents = $3,
    coupon_code = $4,
    tax_included = stores.prices_include_tax
from stores
where orders.store_id = $1 and orders.id = $2 and stores.store_id = $1;
