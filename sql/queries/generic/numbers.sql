-- name: take_numbers
-- Takes the next `:number` numbers of a kind for one process; returns the first of them.
insert into number_blocks as block (store_id, kind, next_number)
values (:store, :kind, 1 + :number::bigint)
on conflict (store_id, kind) do update set next_number = block.next_number + :number::bigint
returning block.next_number - :number::bigint as first;
