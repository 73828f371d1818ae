-- Change orders: the next version of a contract, from the proposal to its effective date.

create table change_order (                -- its state changes by compare-and-set
    change_id     text primary key,        -- eng.E.change.ID
    engagement_id text not null references engagement,
    request_id    text not null unique references approval_request,  -- the first; the approved one once agreed
    version       integer not null,
    digest        text not null,           -- of the document, as both sides sign it
    document      jsonb not null,
    retroactive   boolean not null,
    reason        text not null,
    effective_on  date not null,
    due_at        timestamptz not null,    -- when that day begins, in the contract's time zone
    state         text not null check (state in ('proposed', 'agreed', 'applied', 'lapsed')),
    agreed_at     timestamptz,
    ended_at      timestamptz,             -- applied, or lapsed
    refusal       text,                    -- why it lapsed
    invoice       text references invoice, -- the delta document
    key           text not null references effect deferrable initially deferred,
    check ((state = 'proposed') = (agreed_at is null)),
    check ((state in ('applied', 'lapsed')) = (ended_at is not null)),
    check ((state = 'lapsed') = (refusal is not null))
);
create unique index change_order_agreed on change_order (engagement_id) where state = 'agreed';
create unique index change_order_version on change_order (engagement_id, version) where state = 'applied';
