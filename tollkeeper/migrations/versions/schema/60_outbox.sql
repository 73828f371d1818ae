-- What leaves, and what the other side answered.

create table outbox (
    id            bigint generated always as identity primary key,
    key           text not null unique,
    kind          text not null check (kind in ('invoice', 'credit_note', 'release', 'notice')),
    book          text not null check (book in ('live', 'sandbox')),
    engagement_id text not null references engagement,
    payload       jsonb not null,
    created_at    timestamptz not null default now(),
    started_at    timestamptz,             -- its delivery runs, or ran
    refused_at    timestamptz,             -- the latest attempt that failed, and why
    refusal       text,
    failed_at     timestamptz,             -- refused for good: people decide
    delivered_at  timestamptz,
    check ((refused_at is null) = (refusal is null))
);
create index outbox_waiting on outbox (id) where started_at is null;
create index outbox_pending on outbox (id) where delivered_at is null;

create table delivery_receipt (            -- written once
    key         text primary key references outbox (key),
    url         text not null,             -- or the file:/// it was written to
    sha256      text not null,             -- of the bytes handed over
    status      integer not null,
    attempt     integer not null,
    body        text not null,
    received_at timestamptz not null default now()
);

select written_once('delivery_receipt');
