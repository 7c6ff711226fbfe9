-- name: customer
-- What a customer's orders and prices depend on.
select
    customers.email,
    customers.customer_group_id
from customers
where customers.store_id = :store and customers.id = :customer;
