-- name: take_numbers
-- Takes the next $3 numbers of a kind for one process; gives the first of them.
insert into number_blocks as block (store_id, kind, next_number)
values ($1, $2, 1 + $3::bigint)
on conflict (store_id, kind) do update set next_number = block.next_number + $3::bigint
returning block.next_number - $3::bigint;
