-- Runs of subscriptions whose payment was refused.

-- name: run
-- The run that order :unpaid, which is to be placed by itself, came of: its copy, whether its payment was never refused before,
-- how often it was, with attempt :attempt, from the source of that since there was something new to pay with, whether the
-- subscription is paid from another one by now, the store's ladder, and whether another copy of its occurrence failed before.
-- Without an attempt, that which the order is paid from counts. No row for other orders. The subscription is locked: whoever
-- has it paid from another source looks for what was refused before or after.
-- The copy is read first, so that Postgres looks for nothing by the store alone; only recurring ones have a subscription.
with copy as materialized (
    select
        order_factories.id,
        order_factories.occurrence_id,
        order_factories.order_subscription_id,
        order_factories.errors_log,
        order_factories.given_up_at
    from order_factories
    where
        order_factories.store_id = :store and order_factories.target_order_id = :unpaid
        and order_factories.place_target_order and order_factories.order_subscription_id is not null
),

asked as (
    select
        case
            when :attempt::text is null then (
                select orders.customer_payment_source_id
                from orders
                where orders.store_id = :store and orders.id = :unpaid
            )
            else (
                select payment_attempts.customer_payment_source_id
                from payment_attempts
                where payment_attempts.store_id = :store and payment_attempts.id = :attempt
            )
        end as source_id
)

select
    copy.id as copy_id,
    copy.occurrence_id,
    copy.order_subscription_id,
    copy.errors_log is null as first,
    order_subscriptions.status,
    coalesce(order_subscriptions.customer_payment_source_id <> asked.source_id, false) as replaced,
    (
        select stores.policies -> 'payment_retry_hours'
        from stores
        where stores.store_id = :store
    ) as ladder,
    (
        select count(*) + 1
        from payment_attempts
        where
            payment_attempts.store_id = :store
            and payment_attempts.order_id = :unpaid
            and payment_attempts.id is distinct from :attempt
            and payment_attempts.status in ('declined', 'failed')
            and not payment_attempts.forgiven
            and payment_attempts.customer_payment_source_id is not distinct from asked.source_id
    ) as refusals,
    copy.given_up_at is not null as given_up,
    exists(
        select 1 from order_factories as before
        where
            before.store_id = :store
            and before.occurrence_id = copy.occurrence_id
            and before.status = 'failed'
    ) as failed_before
from copy
cross join asked
inner join order_subscriptions
    on
        order_subscriptions.store_id = :store
        and order_subscriptions.id = (select made.order_subscription_id from copy as made)
for no key update of order_subscriptions;

-- name: note_refusal
-- Notes on copy :copy that the payment of its run was refused, as :errors_log tells, of which type that failure is,
-- and whether it isn't asked for by itself any more.
update order_factories
set
    errors_log = :errors_log,
    failure_type = :failure_type,
    given_up_at = case when :retry_at::timestamptz is null then coalesce(given_up_at, :at) end,
    errors_count = errors_count + 1,
    updated_at = :at,
    version = version + 1
where store_id = :store and id = :copy;

-- name: note_occurrence
-- Notes on occurrence :occurrence (null for none) of which type the failure is by which its order waits to be paid.
update occurrences
set failure_type = :failure_type, updated_at = :at, version = version + 1
where store_id = :store and id = coalesce(:occurrence, '');

-- name: recover
-- Nothing is wrong any more with the run of copy :copy, of occurrence :occurrence (null for none). Citus, which knows that
-- nothing equals null, would leave out the whole statement.
with taken_up as (
    update order_factories
    set given_up_at = null, updated_at = :at, version = version + 1
    where store_id = :store and id = :copy and given_up_at is not null
)

update occurrences
set failure_type = null, updated_at = :at, version = version + 1
where store_id = :store and id = coalesce(:occurrence, '') and failure_type is not null;

-- name: count_refusal
-- The last run of the subscription of copy :copy hasn't succeeded, if it was that of the copy; :failed more have failed.
update order_subscriptions
set
    errors_count = order_subscriptions.errors_count + :failed,
    succeeded_on_last_run
    = order_subscriptions.succeeded_on_last_run and order_subscriptions.last_run_at <> copies.completed_at,
    updated_at = :at,
    version = order_subscriptions.version + 1
from order_factories as copies
where
    copies.store_id = :store and copies.id = :copy
    and order_subscriptions.store_id = :store and order_subscriptions.id = copies.order_subscription_id;

-- name: not_payable
-- All that is written when no gateway could be asked for the payment of a run: the attempt, which takes the place of the
-- one that was ahead, what it means for the run, and events. Gives the events that were written.
with stopped as (
    select include('payments/attempts.stop_retries', orders => array[:order])
),

attempted as (
    select include('payments/attempts.note_unasked')
),

noted as (
    select include('payments/dunning.note_refusal')
),

occurred as (
    select include('payments/dunning.note_occurrence')
),

counted as (
    select include('payments/dunning.count_refusal')
),

recorded as (
    select include('events/events.write')
),

told as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'events', delta => select count(*) from recorded)
)

select recorded.id
from recorded;

-- name: paid
-- An order of subscription :subscription (null for none) is paid: its last run has succeeded, if it was that of copy :copy (null
-- for none), and it is paid from :next_source from now on, null for what it is paid from already.
update order_subscriptions
set
    succeeded_on_last_run = order_subscriptions.succeeded_on_last_run or coalesce(
        order_subscriptions.last_run_at = (
            select order_factories.completed_at
            from order_factories
            where order_factories.store_id = :store and order_factories.id = coalesce(:copy, '')
        ),
        false
    ),
    customer_payment_source_id = coalesce(:next_source, order_subscriptions.customer_payment_source_id),
    updated_at = :at,
    version = order_subscriptions.version + 1
where order_subscriptions.store_id = :store and order_subscriptions.id = coalesce(:subscription, '');

-- name: hurry
-- Has the refused payments of runs that are still owed asked for anew at :at, with the whole ladder ahead of them: of all runs
-- of subscription :subscription, or of those of all subscriptions that are paid from source :source, their own or else their
-- order's.
update payment_attempts
set
    forgiven = true,
    retry_at = case
        when
            not exists(
                select 1 from payment_attempts as later
                where
                    later.store_id = :store
                    and later.order_id = payment_attempts.order_id
                    and later.id > payment_attempts.id
            ) then :at::timestamptz
    end
from orders
inner join order_factories as copies
    on orders.store_id = copies.store_id and orders.id = copies.target_order_id
inner join order_subscriptions
    on copies.store_id = order_subscriptions.store_id and copies.order_subscription_id = order_subscriptions.id
where
    payment_attempts.store_id = :store
    and orders.store_id = :store
    and copies.place_target_order
    and (
        order_subscriptions.id = :subscription
        or coalesce(order_subscriptions.customer_payment_source_id, orders.customer_payment_source_id) = :source
    )
    and orders.status = 'pending'
    and payment_attempts.order_id = orders.id
    and payment_attempts.status in ('declined', 'failed');

-- name: stop_of_order
-- The payment of an order is not asked for any more.
update payment_attempts
set retry_at = null
where store_id = :store and order_id = :order and retry_at is not null;

-- name: stop_of_subscription
-- Payments of a subscription's runs are not asked for any more.
update payment_attempts
set retry_at = null
from orders
where
    payment_attempts.store_id = :store and payment_attempts.order_id = orders.id and payment_attempts.retry_at is not null
    and orders.store_id = :store and orders.order_subscription_id = :subscription;

-- name: due
-- At most :limit orders of a store, but for :but, whose payments are to be asked for anew at :at.
select order_id
from payment_retries
where store_id = :store and retry_at <= :at and due_at <= :at and order_id <> all(:but::text[])
order by retry_at, order_id
limit :limit;

-- name: is_due
-- Whether the payment of an order is to be asked for anew at :at.
select exists(
    select 1 from payment_retries
    where payment_retries.store_id = :store and payment_retries.order_id = :order and payment_retries.due_at <= :at
);

-- name: take_source
-- Has an order that waits paid from what its subscription is paid from now. What it costs stays what its customer was told
-- when it was made, also where that method costs another amount. Gives what it is paid from, whether that has refused it
-- before, and whether it is refused for good. No row for an order that doesn't wait.
update orders
set
    customer_payment_source_id = coalesce(customer_payment_sources.id, orders.customer_payment_source_id),
    payment_method_id = coalesce(customer_payment_sources.payment_method_id, orders.payment_method_id)
from order_subscriptions
left join customer_payment_sources
    on
        order_subscriptions.store_id = customer_payment_sources.store_id
        and order_subscriptions.customer_payment_source_id = customer_payment_sources.id
where
    orders.store_id = :store and orders.id = :order and orders.status = 'pending'
    and order_subscriptions.store_id = :store and order_subscriptions.id = orders.order_subscription_id
returning
    orders.customer_payment_source_id as source_id,
    exists(
        select 1 from payment_attempts
        where
            payment_attempts.store_id = :store
            and payment_attempts.order_id = orders.id
            and payment_attempts.customer_payment_source_id = orders.customer_payment_source_id
            and payment_attempts.status in ('declined', 'failed')
            and payment_attempts.decline_code is distinct from 'not_placed'
    ) as again,
    exists(
        select 1 from customer_payment_sources as source
        where
            source.store_id = :store
            and source.id = orders.customer_payment_source_id
            and source.refused_at is not null
    ) as barred;

-- name: hold_source
-- Locks a source in a wallet, so that nobody else asks it anew at the same time; whether it is refused for good by now.
select customer_payment_sources.refused_at is not null as barred
from customer_payment_sources
where customer_payment_sources.store_id = :store and customer_payment_sources.id = :source
for no key update;

-- name: last_retries
-- When the service last asked a source anew by itself, whichever order it was for; at most :most.
select payment_attempts.retried_at
from payment_attempts
where
    payment_attempts.store_id = :store
    and payment_attempts.customer_payment_source_id = :source
    and payment_attempts.retried_at is not null
order by payment_attempts.retried_at desc
limit :most;

-- name: rest
-- Puts the payment of an order that is to be asked for anew off until :retry_at.
update payment_attempts
set retry_at = :retry_at
where store_id = :store and order_id = :order and retry_at is not null;

-- name: bar
-- A source that is still known by one of these digests is refused for good since :at.
update customer_payment_sources
set refused_at = :at, updated_at = :at, version = version + 1
where store_id = :store and id = :source and payment_source_digest = any(:digests::text[]) and refused_at is null;
