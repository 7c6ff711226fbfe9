-- name: of_store
-- The issuers of a store by the name that their tokens have for them.
select
    issuers.id,
    issuers.store_id,
    issuers.issuer,
    issuers.jwks_url,
    issuers.audience,
    issuers.algorithms,
    issuers.customer_claim,
    issuers.customer_field,
    issuers.scopes,
    issuers.revoked_before
from issuers
where issuers.store_id = :store and issuers.issuer = :issuer;

-- name: of_all
-- Of all stores: issuers by the name that their tokens have for them, at most `:most`. A global read.
select
    issuers.id,
    issuers.store_id,
    issuers.issuer,
    issuers.jwks_url,
    issuers.audience,
    issuers.algorithms,
    issuers.customer_claim,
    issuers.customer_field,
    issuers.scopes,
    issuers.revoked_before
from issuers
where issuers.issuer = :issuer
order by issuers.store_id, issuers.id
limit :most;

-- name: customers_by_id
-- The customer of an id, with the facts of the store; none who was erased.
select
    customers.id as customer_id,
    store_facts.*
from customers
inner join store_facts
    on customers.store_id = store_facts.id
where
    customers.store_id = :store
    and customers.id = :named
    and customers.email <> customers.id || '@erased.invalid';

-- name: customers_by_reference
-- Customers of a reference, two at most, with the facts of the store.
select
    customers.id as customer_id,
    store_facts.*
from customers
inner join store_facts
    on customers.store_id = store_facts.id
where customers.store_id = :store and customers.reference = :named
order by customers.id
limit 2;

-- name: customers_by_email
-- Customers of an e-mail address, whatever its case, two at most, with the facts of the store.
select
    customers.id as customer_id,
    store_facts.*
from customers
inner join store_facts
    on customers.store_id = store_facts.id
where customers.store_id = :store and lower(customers.email) = lower(:named)
order by customers.id
limit 2;

-- name: finds_by
-- Whether an issuer of a store finds customers by this field of theirs.
select exists(
    select 1 from issuers
    where issuers.store_id = :store and issuers.customer_field = :field
) as found;
