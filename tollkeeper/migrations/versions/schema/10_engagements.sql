-- Contracts, engagements, what happens in them. Money is bigint minor units; business time is timestamptz.
-- Tables marked "written once" refuse update and delete: corrections are new rows.

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is written once: correct it by adding a row', tg_table_name
        using errcode = 'integrity_constraint_violation';
end $$;

create function written_once(written regclass) returns void language plpgsql as $$
begin
    execute format(
        'create trigger written_once before update or delete or truncate on %s '
        'for each statement execute function refuse_change()', written);
end $$;

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
create index engagement_open on engagement (phase, book) where closed_at is null;

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
    finished      boolean not null default false,
    listening     boolean not null generated always as (    -- to news from the books
        not finished and (
            kind in ('hold', 'request')
            or coalesce(waiting_for in ('hold', 'approval', 'readings'), false)
        )
    ) stored
);
create index process_by_engagement on process (engagement_id) where not finished;

create table event (                       -- written once
    id            bigint generated always as identity primary key,
    key           text not null unique,    -- the process and a digest of what happened
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
    digest        text not null,           -- of the content
    kind          text not null,           -- what was done: open_dispute, request_refund, release, ...
    actor         text not null,           -- a person, a clause or a process
    occurred_at   timestamptz not null,
    content       text not null,           -- what was ordered, for whoever comes with other content
    result        jsonb not null,
    engagement_id text not null,
    booked_at     timestamptz not null default now()
);

create table news (                        -- what the processes of an engagement have not been told of yet
    engagement_id text not null references engagement,
    id            bigint generated always as identity,
    booked_at     timestamptz not null default now(),
    primary key (engagement_id, id)
);

select written_once('contract_version');
select written_once('event');
select written_once('effect');
