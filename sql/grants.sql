-- What each process may do in the database: what its statements do, and no more. `make generated` writes it
-- from them, `reprise migrate --roles` grants it. Where a process never reads a secret it can't read the column, and
-- where it changes a table only by its own statements it can change no columns but theirs.

grant select, insert, update, delete on access_tokens to api;

grant select, insert, update, delete on action_links to api;

grant select, insert, update, delete on addresses to api;

grant select, insert, update, delete on api_clients to api;

grant select, insert, update, delete on cart_items to api;

grant select, insert, update, delete on carts to api;

grant select, insert, delete on collection_changes to api;

grant select, insert, update (number) on collection_counts to api;

grant select, insert, update, delete on customer_groups to api;

grant select, insert, update, delete on customer_payment_sources to api;

grant select, insert, delete on customer_tags to api;

grant select, insert, update, delete on customers to api;

grant select on deployment to api;

grant select on destination_cursors to api;

grant select on destinations to api;

grant select, insert, update (attempts_count, delivered_at, metadata, next_attempt_at, payload, people, reference,
reference_origin, response_message, status, updated_at, version) on event_callbacks to api;

grant select, insert on event_cursors to api;

grant select on event_numbers to api;

grant select, insert, update (address, metadata, payload, reference, reference_origin, request_id, updated_at, version)
on events to api;

grant select, delete on export_chunks to api;

grant select, insert, update, delete on exports to api;

grant select, insert, update (body, created_at, expires_at, fingerprint, headers, status), delete on idempotency_keys to
api;

grant select, insert, update, delete on imports to api;

grant select, insert, update, delete on issuers to api;

grant select, insert, update, delete on line_items to api;

grant select on markets to api;

grant select, insert, update (next_number) on number_blocks to api;

grant select, insert, update, delete on occurrence_items to api;

grant select, insert, update, delete on occurrences to api;

grant select, insert, update, delete on order_factories to api;

grant select, insert, update, delete on order_subscription_items to api;

grant select, insert, delete on order_subscription_tags to api;

grant select, insert, update, delete on order_subscriptions to api;

grant select, insert, delete on order_tags to api;

grant select, insert, update, delete on orders to api;

grant select, insert, update (answered_at, asked, decline_code, detail, forgiven, gateway_reference, lease_expires_at,
retry_at, source_token, status, updated_at) on payment_attempts to api;

grant select, insert, update, delete on payment_methods to api;

grant select on payment_retries to api;

grant select, insert on pgqueuer.pgqueuer to api;

grant insert on pgqueuer.pgqueuer_log to api;

grant select, insert, update, delete on prices to api;

grant select, insert, update, delete on promotions to api;

grant select, insert, update (expires_at, hits, started_at) on rate_limits to api;

grant select, insert, update (used_at), delete on refresh_tokens to api;

grant select, insert, update (refusals_count, updated_at, version) on refused_authentications to api;

grant select, insert, update (cart_item_id, metadata, reference, reference_origin, updated_at, version) on
reorder_outcomes to api;

grant select, insert, update (cart_id, metadata, reference, reference_origin, updated_at, version) on reorders to api;

grant select on repeat_link_proofs to api;

grant select, insert, update, delete on repeat_links to api;

grant select on schema_migrations to api;

grant select, insert, update, delete on shipping_methods to api;

grant select, insert, update (expires_at, retired_at) on signing_keys to api;

grant select, insert, delete on sku_tags to api;

grant select, insert, update, delete on skus to api;

grant select, insert, update, delete on stock_items to api;

grant select on store_facts to api;

grant select, update on stores to api;

grant select, insert, update, delete on subscription_models to api;

grant select, insert, update, delete on tags to api;

grant select, insert, update, delete on test_clocks to api;

grant select, insert, update, delete on webhooks to api;

grant select on workers to api;

grant select (api_client_id, created_at, customer_id, expires_at, grant_id, hint, id, kind, last_used_at, metadata,
name, reference, reference_origin, revoked_at, scopes, store_id, updated_at, version), delete on access_tokens to
worker;

grant select, insert, update (event_id) on address_horizons to worker;

grant select, insert, update on addresses to worker;

grant select, insert, delete on collection_changes to worker;

grant select, insert, update (number) on collection_counts to worker;

grant select, insert, update on customer_groups to worker;

grant select, insert, update on customer_payment_sources to worker;

grant select, insert, delete on customer_tags to worker;

grant select, insert, update on customers to worker;

grant select, insert on deployment to worker;

grant select, insert, update (event_id, transaction_id) on destination_cursors to worker;

grant select, insert, update (error, failing_since, holder, leased_until) on destinations to worker;

grant select, insert, update (attempts_count, callback_url, delivered_at, last_attempt_at, next_attempt_at, payload,
people, response_code, response_message, status, updated_at, version), delete on event_callbacks to worker;

grant select, update (event_id, transaction_id) on event_cursors to worker;

grant select, insert, update (sequence) on event_numbers to worker;

grant select, insert, update (address, transaction_id), delete on events to worker;

grant select (attempt, export_id, first_byte, id, size, store_id), insert, delete on export_chunks to worker;

grant select, update (attachment_expires_at, attachment_size, attempt, completed_at, errors_log, interrupted_at,
processed_count, records_count, started_at, status, updated_at, version), delete on exports to worker;

grant select, delete on idempotency_keys to worker;

grant select, update (completed_at, counts_by_type, created_count, errors_count, errors_log, inputs, interrupted_at,
processed_count, skipped_count, started_at, status, unchanged_count, updated_at, updated_count, version), delete on
imports to worker;

grant select, insert, update on line_items to worker;

grant select on markets to worker;

grant select, insert, update (next_number) on number_blocks to worker;

grant select, insert, update, delete on occurrence_items to worker;

grant select, insert, update, delete on occurrences to worker;

grant select, insert, update on order_factories to worker;

grant select, insert, update on order_subscription_items to worker;

grant select, insert, delete on order_subscription_tags to worker;

grant select, insert, update on order_subscriptions to worker;

grant select, insert, delete on order_tags to worker;

grant select, insert, update on orders to worker;

grant select, insert, update (answered_at, asked, decline_code, detail, forgiven, gateway_reference, lease_expires_at,
retry_at, source_token, status, updated_at) on payment_attempts to worker;

grant select, insert, update on payment_methods to worker;

grant select on payment_retries to worker;

grant select, insert, update, delete on pgqueuer.pgqueuer to worker;

grant select, insert, update, delete on pgqueuer.pgqueuer_log to worker;

grant select, insert, update, delete on pgqueuer.pgqueuer_schedules to worker;

grant select, insert, update, delete on pgqueuer.pgqueuer_statistics to worker;

grant select, insert, update on prices to worker;

grant select, insert, update on promotions to worker;

grant select, delete on rate_limits to worker;

grant select (api_client_id, created_at, customer_id, expires_at, grant_id, scope, scopes, store_id, used_at), delete on
refresh_tokens to worker;

grant select, delete on refused_authentications to worker;

grant select, update (updated_at, uses, version) on repeat_links to worker;

grant select on schema_migrations to worker;

grant select, insert, update on shipping_methods to worker;

grant select (created_at, expires_at, id, public_key, retired_at), delete on signing_keys to worker;

grant select, insert, delete on sku_tags to worker;

grant select, insert, update on skus to worker;

grant select, insert, update on stock_items to worker;

grant select on store_facts to worker;

grant select on stores to worker;

grant select, insert, update on subscription_models to worker;

grant select, insert, update on tags to worker;

grant select, update (advancing_to, frozen_at, status, updated_at, version) on test_clocks to worker;

grant select, update (circuit_failure_count, circuit_state, disabled_at, health, health_reason, health_since,
leased_until, next_delivery_at, updated_at, version) on webhooks to worker;

grant select, insert, update (seen_at), delete on workers to worker;
