-- name: take_numbers
-- Takes the next `:number` numbers of a kind for one process; returns the first of them.
insert into number_blocks as block (store_id, kind, next_number)
values (:store, :kind, 1 + :number::bigint)
on conflict (store_id, kind) do update set next_number = block.next_number + :number::bigint
returning block.next_number - :number::bigint as first;

-- name: use_numbers
-- Sees to it that numbers that were given, and all below them, are not handed out again: a kind and its highest number per
-- position.
insert into number_blocks as block (store_id, kind, next_number)
select
    :store as store_id,
    used.kind,
    used.number + 1 as next_number
from unnest(:kinds::text[], :numbers::bigint[]) as used (kind, number)
on conflict (store_id, kind) do update set next_number = greatest(block.next_number, excluded.next_number);
