-- What was measured, and the verdicts on it.

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

select written_once('reading');
select written_once('verdict');
