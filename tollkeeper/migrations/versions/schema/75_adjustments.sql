-- Caps as a view of the ledger; gain share as reported. Service credits are requests and documents.

create view cap_level as                   -- always: reserved + billed <= authorised
    select g.engagement_id, p.item as level, p.currency,
           coalesce(sum(signed.minor) filter (where p.account = 'M10'), 0)::bigint as authorised_minor,
           coalesce(sum(signed.minor) filter (where p.account = 'M20'), 0)::bigint as reserved_minor,
           coalesce(sum(signed.minor) filter (where p.account = 'M30'), 0)::bigint as billed_minor
    from posting p
    join journal_group g on g.id = p.group_id
    cross join lateral (
        select case p.side when 'D' then p.amount_minor else -p.amount_minor end as minor
    ) signed
    where p.account in ('M10', 'M20', 'M30')
    group by g.engagement_id, p.item, p.currency;

create table gain_share (                  -- written once: a later report of a period replaces the earlier
    id                    bigint generated always as identity primary key,
    key                   text not null unique references effect deferrable initially deferred,
    engagement_id         text not null references engagement,
    request_id            text not null unique references approval_request,
    period                text not null,
    benefit_minor         bigint not null check (abs(benefit_minor) < 1000000000000000),
    evidence              text not null check (evidence <> ''),
    benefit_to_date_minor bigint not null check (abs(benefit_to_date_minor) < 1000000000000000),
    fee_to_date_minor     bigint not null check (abs(fee_to_date_minor) < 1000000000000000),
    amount_minor          bigint not null check (abs(amount_minor) < 1000000000000000),
    currency              char(3) not null,
    document              text references invoice,  -- none where nothing changed
    settled_at            timestamptz not null,
    explanation           jsonb not null,
    check ((document is null) = (amount_minor = 0))
);
create index gain_share_by_engagement on gain_share (engagement_id, id);

select written_once('gain_share');
