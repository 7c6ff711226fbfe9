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
    constraint customers_have_a_plain_id check (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    constraint customers_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint customers_have_a_known_status check (status in ('prospect', 'acquired', 'repeat'))
);

create index customers_by_customer_group_id on customers (store_id, customer_group_id, id)
where customer_group_id is not null;
create index customers_by_lower_email on customers (store_id, lower(email), id);
create index customers_by_status on customers (store_id, status, id);
create index customers_by_shopper_reference on customers (store_id, shopper_reference, id);
create index customers_by_created_at on customers (store_id, created_at, id);
create index customers_by_updated_at on customers (store_id, updated_at, id);
create index customers_by_reference on customers (store_id, reference, id);
create index customers_by_reference_origin on customers (store_id, reference_origin, id)
where reference_origin is not null;

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
    constraint addresses_have_a_plain_id check (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    constraint addresses_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint addresses_have_a_country_code check (country_code ~ '^[A-Z]{2}$'),
    constraint addresses_name_a_person_or_a_business check (
        (business and company is not null)
        or (not business and first_name is not null and last_name is not null)
    )
);

create index addresses_by_customer_id on addresses (store_id, customer_id, id) where customer_id is not null;
create index addresses_by_cart_id on addresses (store_id, cart_id, id) where cart_id is not null;
create index addresses_by_city on addresses (store_id, city, id);
create index addresses_by_country_code on addresses (store_id, country_code, id);
create index addresses_by_state_code on addresses (store_id, state_code, id);
create index addresses_by_zip_code on addresses (store_id, zip_code, id);
create index addresses_by_last_name on addresses (store_id, last_name, id);
create index addresses_by_created_at on addresses (store_id, created_at, id);
create index addresses_by_updated_at on addresses (store_id, updated_at, id);
create index addresses_by_reference on addresses (store_id, reference, id);
create index addresses_by_reference_origin on addresses (store_id, reference_origin, id)
where reference_origin is not null;

-- A customer's wallet: the gateway's tokens, never a card number.
create table customer_payment_sources (
    store_id bigint not null,
    id text collate "C" not null,
    customer_id text collate "C" not null,
    payment_method_id text collate "C",
    name text,
    gateway text not null,
    customer_token text,
    payment_source_token text,
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
    constraint customer_payment_sources_have_a_plain_id check (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    constraint customer_payment_sources_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint customer_payment_sources_have_a_known_gateway check (gateway in ('manual', 'test', 'external'))
);

create index customer_payment_sources_by_customer_id on customer_payment_sources (store_id, customer_id, id);
create index customer_payment_sources_by_payment_method_id on customer_payment_sources (store_id, payment_method_id, id)
where payment_method_id is not null;
create index customer_payment_sources_by_name on customer_payment_sources (store_id, name, id);
create index customer_payment_sources_by_payment_source_token
on customer_payment_sources (store_id, payment_source_token, id);
create index customer_payment_sources_by_expires_at on customer_payment_sources (store_id, expires_at, id);
create index customer_payment_sources_by_created_at on customer_payment_sources (store_id, created_at, id);
create index customer_payment_sources_by_updated_at on customer_payment_sources (store_id, updated_at, id);
create index customer_payment_sources_by_reference on customer_payment_sources (store_id, reference, id);
create index customer_payment_sources_by_reference_origin on customer_payment_sources (store_id, reference_origin, id)
where reference_origin is not null;

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
    constraint tags_have_a_plain_id check (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    constraint tags_have_an_object_as_metadata check (jsonb_typeof(metadata) = 'object'),
    constraint tags_have_a_plain_name check (name ~ '^[0-9A-Za-z_-]{1,25}$')
);

create index tags_by_created_at on tags (store_id, created_at, id);
create index tags_by_updated_at on tags (store_id, updated_at, id);
create index tags_by_reference on tags (store_id, reference, id);
create index tags_by_reference_origin on tags (store_id, reference_origin, id) where reference_origin is not null;

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

create index sku_tags_by_tag_id on sku_tags (store_id, tag_id, sku_id);
