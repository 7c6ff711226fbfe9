-- migrate:up

-- Who buys, where they live and what they pay with; and the tags that mark customers and skus.

-- Who orders. An email is kept as given and belongs to one customer.
create table customers (
    store_id bigint not null,
    id text collate "C" not null,
    email text not null,
    status text not null default 'prospect',
    customer_group_id text collate "C",
    shopper_reference text,
    profile_id text,
    tax_exemption_code text,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint customers_have_unique_ids primary key (store_id, id),
    constraint one_customer_per_email unique (store_id, email),
    constraint customers_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint customers_belong_to_a_known_customer_group foreign key (store_id, customer_group_id)
    references customer_groups (store_id, id),
    constraint customers_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint customers_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint customers_have_a_known_status check (status in ('prospect', 'acquired', 'repeat'))
);

-- For the members and prices of a group.
create index customers_by_customer_group_id on customers (store_id, customer_group_id, id)
where customer_group_id is not null;
-- For finding a customer by e-mail address, whatever its case.
create index customers_by_lower_email on customers (store_id, lower(email), id);
-- For lists by date: `sort=-created_at`, `created_at_gteq`.
create index customers_by_created_at on customers (store_id, created_at, id);
-- For clients that keep a copy: `updated_at_gteq`.
create index customers_by_updated_at on customers (store_id, updated_at, id);
-- For other systems that look for their own id: `reference_eq`.
create index customers_by_reference on customers (store_id, reference, id);

-- An address in a customer's book, of a guest's cart, or (snapshot) the copy that a cart, an order or a
-- subscription keeps for itself.
create table addresses (
    store_id bigint not null,
    id text collate "C" not null,
    customer_id text collate "C",
    cart_id text collate "C",
    snapshot boolean not null default false,
    business boolean not null default false,
    first_name text,
    last_name text,
    company text,
    line_1 text not null,
    line_2 text,
    city text not null,
    zip_code text,
    state_code text,
    country_code text not null,
    phone text,
    email text,
    notes text,
    lat double precision,
    lng double precision,
    billing_info text,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint addresses_have_unique_ids primary key (store_id, id),
    constraint addresses_belong_to_a_customer foreign key (store_id, customer_id)
    references customers (store_id, id),
    constraint addresses_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint addresses_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint addresses_have_a_country_code check (country_code ~ '^[A-Z]{2}$'),
    constraint addresses_name_a_person_or_a_business check (
        (business and company is not null)
        or (not business and first_name is not null and last_name is not null)
    )
);

-- For whose they are: `customer_id_eq`, a customer's own reads, erasing.
create index addresses_by_customer_id on addresses (store_id, customer_id, id) where customer_id is not null;
-- For a cart's own.
create index addresses_by_cart_id on addresses (store_id, cart_id, id) where cart_id is not null;

-- A customer's wallet: the gateway's tokens, never a card number. They are sealed with a key of the settings, for this
-- very row; payment_source_digest is what the token of the source is found by.
create table customer_payment_sources (
    store_id bigint not null,
    id text collate "C" not null,
    customer_id text collate "C" not null,
    payment_method_id text collate "C",
    name text,
    gateway text not null,
    customer_token text,
    payment_source_token text,
    payment_source_digest text collate "C",
    expires_at timestamptz(3),
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint customer_payment_sources_have_unique_ids primary key (store_id, id),
    constraint customer_payment_sources_belong_to_a_customer foreign key (store_id, customer_id)
    references customers (store_id, id),
    constraint customer_payment_sources_have_a_known_payment_method foreign key (store_id, payment_method_id)
    references payment_methods (store_id, id),
    constraint customer_payment_sources_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint customer_payment_sources_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint customer_payment_sources_have_a_known_gateway check (gateway in ('manual', 'test', 'external'))
);

-- For whose they are: `customer_id_eq`, a customer's own reads, erasing.
create index customer_payment_sources_by_customer_id on customer_payment_sources (store_id, customer_id, id);
-- For the foreign key.
create index customer_payment_sources_by_payment_method_id on customer_payment_sources (store_id, payment_method_id, id)
where payment_method_id is not null;
-- For whose wallet a gateway's token is in.
create index customer_payment_sources_by_payment_source_digest
on customer_payment_sources (store_id, payment_source_digest, id) where payment_source_digest is not null;

-- A mark for customers, skus, orders and order subscriptions.
create table tags (
    store_id bigint not null,
    id text collate "C" not null,
    name text not null,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    reference text,
    reference_origin text,
    metadata jsonb not null default '{}',
    version bigint not null default 1,
    constraint tags_have_unique_ids primary key (store_id, id),
    constraint one_tag_per_name unique (store_id, name),
    constraint tags_belong_to_a_store foreign key (store_id) references stores (store_id),
    constraint tags_have_a_plain_id check (length(id) <= 64 and id ~ '^[A-Za-z0-9_-]+$'),
    constraint tags_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint tags_have_a_plain_name check (name ~ '^[0-9A-Za-z_-]{1,25}$')
);


-- Which tags a customer carries.
create table customer_tags (
    store_id bigint not null,
    customer_id text collate "C" not null,
    tag_id text collate "C" not null,
    constraint customers_carry_a_tag_once primary key (store_id, customer_id, tag_id),
    constraint customer_tags_belong_to_a_customer foreign key (store_id, customer_id)
    references customers (store_id, id) on delete cascade,
    constraint customer_tags_belong_to_a_tag foreign key (store_id, tag_id)
    references tags (store_id, id) on delete cascade
);

-- For `tags_id_in`.
create index customer_tags_by_tag_id on customer_tags (store_id, tag_id, customer_id);

-- Which tags a sku carries.
create table sku_tags (
    store_id bigint not null,
    sku_id text collate "C" not null,
    tag_id text collate "C" not null,
    constraint skus_carry_a_tag_once primary key (store_id, sku_id, tag_id),
    constraint sku_tags_belong_to_a_sku foreign key (store_id, sku_id)
    references skus (store_id, id) on delete cascade,
    constraint sku_tags_belong_to_a_tag foreign key (store_id, tag_id)
    references tags (store_id, id) on delete cascade
);

-- For `tags_id_in`.
create index sku_tags_by_tag_id on sku_tags (store_id, tag_id, sku_id);
