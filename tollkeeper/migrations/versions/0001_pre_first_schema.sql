-- Ledger, documents, holds and projection. Money is bigint minor units; business time is timestamptz.
-- Tables marked "written once" refuse update and delete: corrections are new rows.

create table contract_version (            -- written once
    contract_id   text not null,
    version       integer not null check (version >= 1),
    digest        text not null,
    document      jsonb not null,
    indicators    jsonb not null,
    effective_on  date not null,
    registered_at timestamptz not null default now(),
    primary key (contract_id, version)
);

create table engagement (                  -- projection
    engagement_id    text primary key,
    contract_id      text not null,
    contract_version integer not null,
    book             text not null check (book in ('live', 'sandbox')),
    clock            text not null check (clock in ('live', 'test')),
    clock_now        timestamptz,
    phase            text not null,
    opened_at        timestamptz not null,
    proceeded_at     timestamptz,
    closed_at        timestamptz,
    foreign key (contract_id, contract_version) references contract_version,
    check ((clock = 'test') = (clock_now is not null))
);

create table process (                     -- projection: one row a workflow, with what it waits for
    workflow_id   text primary key,
    engagement_id text not null references engagement,
    kind          text not null,
    subject       text not null,
    state         text not null,
    detail        jsonb not null,
    waiting_for   text,
    why           text,
    since         timestamptz,
    due_at        timestamptz,
    overdue       boolean not null default false,
    seq           integer not null,
    finished      boolean not null default false
);
create index process_by_engagement on process (engagement_id) where not finished;

create table event (                       -- written once
    id            bigint generated always as identity primary key,
    key           text not null unique,    -- the process and the digest of what happened
    engagement_id text not null references engagement,
    workflow_id   text not null,
    type          text not null,
    occurred_at   timestamptz not null,
    booked_at     timestamptz not null default now(),
    actor         text not null,
    command_id    text,
    facts         jsonb not null
);
create index event_by_engagement on event (engagement_id, id);

create table effect (                      -- written once: what makes a second run a no-op
    key           text primary key,
    digest        text not null,
    result        jsonb not null,
    engagement_id text not null,
    booked_at     timestamptz not null default now()
);

create table account (
    code           text primary key,
    name           text not null,
    ledger         text not null check (ledger in ('money', 'memo')),
    normal         char(1) not null check (normal in ('D', 'C')),
    never_negative boolean not null
);
insert into account (code, name, ledger, normal, never_negative) values
    ('1100', 'Receivable, open',          'money', 'D', true),
    ('1120', 'Receivable, withheld',      'money', 'D', true),
    ('1200', 'Unbilled, earned',          'money', 'D', true),
    ('2400', 'VAT output',                'money', 'C', true),
    ('4000', 'Revenue, fixed fees',       'money', 'C', true),
    ('4020', 'Revenue, fees at risk',     'money', 'C', true),
    ('4090', 'Revenue reductions',        'money', 'D', true),
    ('M40',  'Stake open, not invoiced',  'memo',  'D', true),
    ('M49',  'Stake, contra',             'memo',  'C', true);

create table invoice_series (
    series text not null,
    year   integer not null,
    last   integer not null check (last >= 0),
    primary key (series, year)
);

create table invoice (                     -- written once: invoices and credit notes
    number           text primary key,
    document         text not null check (document in ('invoice', 'credit_note')),
    series           text not null,
    year             integer not null,
    sequence         integer not null check (sequence > 0),
    key              text not null unique references effect deferrable initially deferred,
    engagement_id    text not null references engagement,
    contract_id      text not null,
    contract_version integer not null,
    book             text not null check (book in ('live', 'sandbox')),
    issued_on        date not null,
    currency         char(3) not null,
    net_minor        bigint not null check (net_minor > 0 and net_minor < 1000000000000000),
    tax_minor        bigint not null check (tax_minor >= 0 and tax_minor < 1000000000000000),
    gross_minor      bigint not null check (gross_minor = net_minor + tax_minor),
    tax_code         text not null,
    tax_rate         text not null,
    tax_explanation  jsonb not null,
    withheld         boolean not null default false,
    corrects         text references invoice,
    booked_at        timestamptz not null default now(),
    unique (series, year, sequence),
    check ((document = 'credit_note') = (corrects is not null)),
    foreign key (contract_id, contract_version) references contract_version
);
create index invoice_by_engagement on invoice (engagement_id);
create index invoice_by_corrected on invoice (corrects) where corrects is not null;

create table invoice_line (                -- written once
    number      text not null references invoice,
    line        integer not null check (line > 0),
    claim       text not null unique,      -- a tranche is billed, or credited, once
    clause      text not null,
    title       jsonb not null,
    net_minor   bigint not null check (net_minor > 0 and net_minor < 1000000000000000),
    explanation jsonb not null,
    primary key (number, line)
);

create table hold (                        -- written once: what it holds is in hold_movement
    hold_id       text primary key,
    engagement_id text not null references engagement,
    clause        text not null,
    kind          text not null check (kind in ('VALUE_BET')),
    effect        text not null check (effect in ('block_invoicing', 'withhold_payment')),
    fee           text not null,
    bet           text not null,
    currency      char(3) not null,
    invoice       text references invoice
);
create index hold_by_engagement on hold (engagement_id);

create table hold_movement (               -- written once
    id           bigint generated always as identity primary key,
    hold_id      text not null references hold,
    movement     text not null check (movement in ('placed', 'released', 'forfeited')),
    amount_minor bigint not null check (amount_minor > 0 and amount_minor < 1000000000000000),
    key          text not null references effect deferrable initially deferred,
    occurred_at  timestamptz not null,
    unique (key, movement)
);
create index hold_movement_by_hold on hold_movement (hold_id);
create view hold_balance as
    select h.*, b.placed_minor, b.released_minor, b.forfeited_minor,
           b.placed_minor - b.released_minor - b.forfeited_minor as held_minor
    from hold h cross join lateral (
        select coalesce(sum(amount_minor) filter (where movement = 'placed'), 0)::bigint    as placed_minor,
               coalesce(sum(amount_minor) filter (where movement = 'released'), 0)::bigint  as released_minor,
               coalesce(sum(amount_minor) filter (where movement = 'forfeited'), 0)::bigint as forfeited_minor
        from hold_movement m where m.hold_id = h.hold_id
    ) b;

create table decision_record (             -- written once: a forfeiture, by clause or by people
    key           text primary key references effect deferrable initially deferred,
    engagement_id text not null references engagement,
    hold_id       text not null references hold,
    decision      text not null check (decision in ('released', 'forfeited')),
    amount_minor  bigint not null check (amount_minor > 0 and amount_minor < 1000000000000000),
    currency      char(3) not null,
    decided_by    text not null,
    decided_on    date not null,
    document      text references invoice,
    explanations  jsonb not null
);

create table journal_group (               -- written once
    id            bigint generated always as identity primary key,
    key           text not null unique,
    effect_key    text not null references effect deferrable initially deferred,
    code          text not null,
    engagement_id text not null references engagement,
    book          text not null check (book in ('live', 'sandbox')),
    occurred_at   timestamptz not null,
    effective_on  date not null,
    booked_at     timestamptz not null default now(),
    digest        text not null
);
create index journal_group_by_engagement on journal_group (engagement_id);
create index journal_group_by_effect on journal_group (effect_key);

create table posting (                     -- written once
    group_id     bigint not null references journal_group,
    line         integer not null check (line > 0),
    account      text not null references account,
    side         char(1) not null check (side in ('D', 'C')),
    amount_minor bigint not null check (amount_minor > 0 and amount_minor < 1000000000000000),
    currency     char(3) not null,
    fee          text not null,
    hold         text references hold,
    invoice      text references invoice,
    primary key (group_id, line)
);
create index posting_by_account on posting (account);
create index posting_by_invoice on posting (invoice) where invoice is not null;

create table reading (                     -- written once
    id            bigint generated always as identity primary key,
    key           text not null unique references effect deferrable initially deferred,
    engagement_id text not null references engagement,
    indicator     text not null,
    measured_on   date not null,
    value         numeric not null check (value > -1e18 and value < 1e18),
    sample        integer not null check (sample >= 0),
    source        text not null,
    evidence      text not null,
    recorded_by   text not null,
    occurred_at   timestamptz not null
);
create index reading_by_engagement on reading (engagement_id, indicator, measured_on);

create table verdict (                     -- written once
    key           text primary key references effect deferrable initially deferred,
    engagement_id text not null references engagement,
    bet           text not null,
    window_id     text not null,
    kind          text not null check (kind in ('trend', 'settlement')),
    started_on    date not null,
    last_reading  bigint not null,         -- the readings up to this one were known, later ones not
    result        jsonb not null,
    occurred_at   timestamptz not null
);

create table outbox (
    id            bigint generated always as identity primary key,
    key           text not null unique,
    kind          text not null check (kind in ('invoice', 'credit_note', 'release', 'notice')),
    book          text not null check (book in ('live', 'sandbox')),
    engagement_id text not null references engagement,
    payload       jsonb not null,
    created_at    timestamptz not null default now(),
    started_at    timestamptz,             -- its delivery runs, or ran
    delivered_at  timestamptz
);
create index outbox_waiting on outbox (id) where started_at is null;
create index outbox_pending on outbox (id) where delivered_at is null;

create table delivery_receipt (            -- written once
    key         text primary key references outbox (key),
    url         text not null,
    status      integer not null,
    attempt     integer not null,
    body        text not null,
    received_at timestamptz not null default now()
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is written once: correct it by adding a row', tg_table_name
        using errcode = 'integrity_constraint_violation';
end $$;

do $$
declare written_once text;
begin
    foreach written_once in array array[
        'contract_version', 'event', 'effect', 'invoice', 'invoice_line', 'hold', 'hold_movement',
        'decision_record', 'journal_group', 'posting', 'reading', 'verdict', 'delivery_receipt'
    ] loop
        execute format(
            'create trigger written_once before update or delete or truncate on %I '
            'for each statement execute function refuse_change()', written_once);
    end loop;
end $$;

create function require_balance() returns trigger language plpgsql as $$
begin
    if exists (
        select 1 from posting p join account a on a.code = p.account
        where p.group_id = new.group_id
        group by a.ledger, p.currency
        having sum(case p.side when 'D' then p.amount_minor else -p.amount_minor end) <> 0
    ) then
        raise exception 'journal group % does not balance', new.group_id
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

create constraint trigger balanced after insert on posting
    deferrable initially deferred for each row execute function require_balance();

create function require_hold_within_placed() returns trigger language plpgsql as $$
begin
    if exists (select 1 from hold_balance where hold_id = new.hold_id and held_minor < 0) then
        raise exception 'hold % would decide about more than was placed', new.hold_id
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

create constraint trigger within_placed after insert on hold_movement
    deferrable initially deferred for each row execute function require_hold_within_placed();

do $$
begin
    assert (select count(*) from pg_trigger where tgname = 'written_once') = 13;
    assert (select count(*) from account) = 9;
end $$;
