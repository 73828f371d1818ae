-- Money that came in and what became of it, refunds, disputes.

create table receipt (                     -- written once: what the bank said
    receipt_id  text primary key,          -- SELLER/ACCOUNT/REFERENCE, with TEST- before it in the sandbox
    book        text not null check (book in ('live', 'sandbox')),
    seller      text not null,
    account     text not null,
    reference   text not null,
    received_on date not null,
    currency    char(3) not null,
    amount_minor bigint not null check (amount_minor > 0 and amount_minor < 1000000000000000),
    payer       text not null,
    text        text not null,
    digest      text not null,
    recorded_by text not null,
    key         text not null references effect deferrable initially deferred,
    unique (book, seller, account, reference)
);

create table receipt_customer (            -- written once: who paid it; the last row counts
    id         bigint generated always as identity primary key,
    receipt_id text not null references receipt,
    customer   text not null,
    named_by   text not null,
    key        text not null references effect deferrable initially deferred
);
create index receipt_customer_by_receipt on receipt_customer (receipt_id);

create table refund (                      -- its state changes by compare-and-set
    refund_id     text primary key,        -- eng.E.refund.ID
    engagement_id text not null references engagement,
    book          text not null check (book in ('live', 'sandbox')),
    customer      text not null,
    source        text not null,           -- the receipt or credit note whose credit is given back
    currency      char(3) not null,
    amount_minor  bigint not null check (amount_minor > 0 and amount_minor < 1000000000000000),
    pay_to        text not null,           -- the account it goes to
    reason        text not null,
    requested_by  text not null,
    requested_at  timestamptz not null,
    state         text not null check (state in (
        'requested', 'approved', 'sent', 'unknown', 'confirmed', 'failed')),
    since         timestamptz not null,    -- in this state
    evidence      text,                    -- what says that it was paid, or was not
    started_at    timestamptz,             -- its process runs, or ran
    key           text not null references effect deferrable initially deferred
);
create index refund_by_source on refund (source);
create index refund_in_flight on refund (source) where state not in ('confirmed', 'failed');
create index refund_waiting on refund (refund_id) where state = 'approved' and started_at is null;

create table dispute (                     -- its state changes once, by compare-and-set
    dispute_id    text primary key,        -- eng.E.dispute.ID
    engagement_id text not null references engagement,
    invoice       text not null references invoice,
    lines         integer[] not null,      -- empty where an amount is disputed
    currency      char(3) not null,
    amount_minor  bigint not null check (amount_minor > 0 and amount_minor < 1000000000000000),
    reason        text not null,
    raised_by     text not null,
    raised_at     timestamptz not null,
    state         text not null check (state in ('open', 'upheld', 'partly', 'rejected', 'withdrawn')),
    upheld_minor  bigint not null default 0 check (upheld_minor between 0 and amount_minor),
    closed_by     text,
    closed_at     timestamptz,
    ruling        text,                    -- the reason for the end
    document      text references invoice,
    key           text not null unique references effect deferrable initially deferred,
    check ((state = 'open') = (closed_at is null)),
    check ((state in ('upheld', 'partly')) = (upheld_minor > 0))
);
create index dispute_by_invoice on dispute (invoice);
create index dispute_by_engagement on dispute (engagement_id);

create index posting_of_credit on posting (item) where account = '2300';

-- Customer credit by where it comes from: a refund takes from its source.
create view customer_credit as
    select m.book, m.customer, m.currency, m.source, m.credit_minor, (
               select coalesce(sum(amount_minor), 0)::bigint from refund r
               where r.source = m.source and r.book = m.book
                 and r.state in ('requested', 'approved', 'sent', 'unknown')
           ) as reserved_minor
    from (
        select g.book, g.customer, p.currency, coalesce(r.source, p.item) as source,
               sum(case p.side when 'C' then p.amount_minor else -p.amount_minor end)::bigint
                   as credit_minor
        from posting p
        join journal_group g on g.id = p.group_id
        left join refund r on r.refund_id = p.item
        where p.account = '2300'
        group by g.book, g.customer, p.currency, coalesce(r.source, p.item)
    ) m;

-- What of that is not used up, kept by the postings themselves: the sums above read the whole journal.
create table open_credit (                 -- projection
    source       text not null,
    currency     char(3) not null,
    book         text not null check (book in ('live', 'sandbox')),
    customer     text not null,
    credit_minor bigint not null,
    primary key (source, currency)
);

create function keep_open_credit() returns trigger language plpgsql as $$
declare
    of_source text := coalesce((select source from refund where refund_id = new.item), new.item);
begin
    insert into open_credit as kept (source, currency, book, customer, credit_minor)
    select of_source, new.currency, book, customer,
           case new.side when 'C' then new.amount_minor else -new.amount_minor end
    from journal_group where id = new.group_id
    on conflict (source, currency) do update
        set credit_minor = kept.credit_minor + excluded.credit_minor, customer = excluded.customer;
    delete from open_credit
    where source = of_source and currency = new.currency and credit_minor = 0;
    return null;
end $$;

create trigger keeps_open_credit after insert on posting
    for each row when (new.account = '2300') execute function keep_open_credit();

select written_once('receipt');
select written_once('receipt_customer');
