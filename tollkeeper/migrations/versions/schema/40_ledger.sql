-- The chart of accounts and the journal.

create table account (
    code           text primary key,
    name           text not null,
    ledger         text not null check (ledger in ('money', 'memo')),
    normal         char(1) not null check (normal in ('D', 'C')),
    never_negative boolean not null
);
insert into account (code, name, ledger, normal, never_negative) values
    ('1000', 'Cash clearing',                    'money', 'D', false),
    ('1100', 'Receivable, open',                 'money', 'D', true),
    ('1110', 'Receivable, retained',             'money', 'D', true),
    ('1120', 'Receivable, withheld',             'money', 'D', true),
    ('1130', 'Receivable, disputed',             'money', 'D', true),
    ('1200', 'Unbilled, earned',                 'money', 'D', true),
    ('2110', 'Advances',                         'money', 'C', true),
    ('2200', 'Refund liability',                 'money', 'C', true),
    ('2300', 'Customer credit, unapplied cash',  'money', 'C', true),
    ('2400', 'VAT output',                       'money', 'C', false),
    ('4000', 'Revenue, fixed fees',              'money', 'C', false),
    ('4020', 'Revenue, fees at risk',            'money', 'C', false),
    ('4030', 'Revenue, gain share',              'money', 'C', false),
    ('4090', 'Revenue reductions',               'money', 'D', false),
    ('5100', 'Write-off',                        'money', 'D', false),
    ('M10',  'Authorised value',                 'memo',  'D', true),
    ('M19',  'Authorised value, contra',         'memo',  'C', true),
    ('M20',  'Reserved against the value',       'memo',  'D', true),
    ('M29',  'Reserved, contra',                 'memo',  'C', true),
    ('M30',  'Billed against the value',         'memo',  'D', true),
    ('M39',  'Billed, contra',                   'memo',  'C', true),
    ('M40',  'Stake open, not invoiced',         'memo',  'D', true),
    ('M49',  'Stake, contra',                    'memo',  'C', true);

create table journal_group (               -- written once
    id            bigint generated always as identity primary key,
    key           text not null unique,
    effect_key    text not null references effect deferrable initially deferred,
    code          text not null,
    engagement_id text references engagement,  -- none for money of a customer that pays for no invoice yet
    entity        text not null,           -- the seller's
    customer      text not null,           -- the client's entity
    book          text not null check (book in ('live', 'sandbox')),
    occurred_at   timestamptz not null,
    effective_on  date not null,
    booked_at     timestamptz not null default now(),
    digest        text not null,
    reverses      bigint unique references journal_group
);
create index journal_group_by_engagement on journal_group (engagement_id);
create index journal_group_by_effect on journal_group (effect_key);
create index journal_group_by_day on journal_group (book, entity, effective_on);
create index journal_group_by_booking on journal_group (book, booked_at);

create table posting (                     -- written once
    group_id     bigint not null references journal_group,
    line         integer not null check (line > 0),
    account      text not null references account,
    side         char(1) not null check (side in ('D', 'C')),
    amount_minor bigint not null check (amount_minor > 0 and amount_minor < 1000000000000000),
    currency     char(3) not null,
    fee          text,
    hold         text references hold,
    invoice      text references invoice,
    item         text,                     -- what else: tax code, receipt, dispute, advance, level
    primary key (group_id, line)
);
create index posting_by_account on posting (account);
create index posting_by_invoice on posting (invoice) where invoice is not null;

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

select written_once('journal_group');
select written_once('posting');
