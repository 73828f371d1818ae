-- Requests and their approvals; holds, what moved in them, decisions about them.

create table approval_request (            -- state and decided_* change once, by compare-and-set
    request_id    text primary key references effect deferrable initially deferred,  -- eng.E.request.ID
    engagement_id text not null references engagement,
    workflow_id   text not null,           -- the process that asked, or the engagement's
    decision      text not null,           -- what is carried out: release, forfeit, refund, ...
    subject       text not null,           -- what it is about: a hold, an invoice, a change order
    payload       jsonb not null,          -- exactly what is approved
    digest        text not null,           -- SHA-256 of the canonical payload
    amount_minor  bigint not null check (amount_minor >= 0 and amount_minor < 1000000000000000),
    currency      char(3) not null,
    requested_by  text not null,
    requested_at  timestamptz not null,
    expires_at    timestamptz not null,    -- as it is asked for, where nobody has to sign
    effect_key    text not null,           -- of what carrying it out does: says what, not who
    needed        integer not null check (needed >= 0),
    state         text not null check (state in ('pending', 'approved', 'rejected', 'expired', 'superseded')),
    decided_by    text,                    -- people, comma-separated, or policy:ID
    decided_at    timestamptz,
    reason        text,
    document      text references invoice,
    check ((state = 'pending') = (decided_at is null)),
    check (case when needed = 0 then expires_at = requested_at else expires_at > requested_at end)
);
create index approval_request_by_engagement on approval_request (engagement_id);
create index approval_request_pending on approval_request (subject) where state = 'pending';
create unique index approval_request_effect on approval_request (effect_key)
    where state in ('pending', 'approved');        -- one decision is asked for once at a time

create table approval_signature (          -- written once
    request_id text not null references approval_request,
    person     text not null,
    digest     text not null,
    signed_at  timestamptz not null,
    key        text not null references effect deferrable initially deferred,
    place      bigint generated always as identity,  -- two may sign at the same instant
    primary key (request_id, person)
);

create table hold (                        -- state, flags and clocks change by compare-and-set
    hold_id       text primary key,        -- eng.E.hold.ID
    engagement_id text not null references engagement,
    clause        text not null,
    kind          text not null check (kind in ('VALUE_BET', 'RETENTION', 'ADMIN_BLOCK', 'COMPLIANCE')),
    effect        text not null check (effect in ('block_invoicing', 'withhold_payment', 'reserve_refund')),
    condition     text not null check (condition in ('time_only', 'performance')),
    fee           text not null,
    bet           text,
    milestone     text,                    -- what is not invoiced
    invoice       text references invoice, -- what is not to be paid, or may be claimed back
    invoice_line  integer,
    currency      char(3) not null,
    reason        text not null,
    evidence      text,
    placed_by     text not null,
    placed_at     timestamptz not null,
    state         text not null check (state in ('active', 'curing', 'decision_due', 'settled', 'cancelled')),
    disputed_at   timestamptz,             -- clocks stand still since
    due_at        timestamptz,             -- end of the clock of its state
    extensions    integer not null default 0,
    clocks        jsonb                    -- review, cure, decision and default as agreed when it was placed
);
create index hold_by_engagement on hold (engagement_id);
create index hold_by_milestone on hold (engagement_id, milestone) where milestone is not null;
create index hold_by_invoice on hold (invoice) where invoice is not null;
create index hold_open on hold (hold_id) where state not in ('settled', 'cancelled');

create table hold_movement (               -- written once
    id           bigint generated always as identity primary key,
    hold_id      text not null references hold,
    movement     text not null check (movement in ('placed', 'released', 'forfeited')),
    amount_minor bigint not null check (amount_minor > 0 and amount_minor < 1000000000000000),
    tax_minor    bigint not null default 0 check (tax_minor >= 0),
    key          text not null references effect deferrable initially deferred,
    occurred_at  timestamptz not null,
    explanation  jsonb,                    -- why so much was placed; what left it has a decision_record
    unique (hold_id, key, movement)
);
create index hold_movement_by_hold on hold_movement (hold_id);

create view hold_balance as
    select h.*, b.placed_minor, b.released_minor, b.forfeited_minor,
           b.placed_minor - b.released_minor - b.forfeited_minor as held_minor,
           r.reserved_minor
    from hold h cross join lateral (
        select coalesce(sum(amount_minor) filter (where movement = 'placed'), 0)::bigint    as placed_minor,
               coalesce(sum(amount_minor) filter (where movement = 'released'), 0)::bigint  as released_minor,
               coalesce(sum(amount_minor) filter (where movement = 'forfeited'), 0)::bigint as forfeited_minor
        from hold_movement m where m.hold_id = h.hold_id
    ) b cross join lateral (
        select coalesce(sum(amount_minor), 0)::bigint as reserved_minor
        from approval_request q
        where q.subject = h.hold_id and q.state = 'pending' and q.decision in ('release', 'forfeit')
    ) r;

create table decision_record (             -- written once: a release or a forfeiture, by clause or by people
    key           text primary key references effect deferrable initially deferred,
    engagement_id text not null references engagement,
    hold_id       text not null references hold,
    decision      text not null check (decision in ('released', 'forfeited')),
    amount_minor  bigint not null check (amount_minor > 0 and amount_minor < 1000000000000000),
    currency      char(3) not null,
    requested_by  text not null,
    decided_by    text not null,           -- people, comma-separated, or policy:ID
    clause        text not null,
    decided_on    date not null,
    request_id    text references approval_request,
    document      text references invoice,
    explanations  jsonb not null
);

create function require_hold_within_placed() returns trigger language plpgsql as $$
begin
    if exists (
        select 1 from hold_balance where hold_id = new.hold_id and held_minor < reserved_minor
    ) then
        raise exception 'hold % would decide about more than was placed', new.hold_id
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

create constraint trigger within_placed after insert on hold_movement
    deferrable initially deferred for each row execute function require_hold_within_placed();

select written_once('approval_signature');
select written_once('hold_movement');
select written_once('decision_record');
