-- name: payer
-- Whose wallet a payment source is in.
select customer_payment_sources.customer_id
from customer_payment_sources
where customer_payment_sources.store_id = :store and customer_payment_sources.id = :source;
