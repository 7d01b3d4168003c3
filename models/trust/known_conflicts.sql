-- One row a compared pair: how many records had an open conflict before this run, and how many of those either side still holds.
with

this_run as (

    select run_id from {{ ref('this_run') }}

),

-- A run that is repeated finds what it resolved itself resolved, and reads it no more.
known as (

    select
        history.reconciliation, history.record_key,
        coalesce(bool_or(history.resolution != 'gone from both sides'), false) as has_been_seen
    from {{ source('published_marts', 'discrepancy_history') }} as history
    cross join this_run
    where history.bucket = 'conflict'
        and history.opened_in_run != this_run.run_id
        and (history.resolved_at is null or history.resolved_in_run = this_run.run_id)
    group by all

),

-- reconcile() reads every key with an open difference again, so a key without a row is on neither side.
found as (

    select distinct reconciliation, record_key from {{ ref('comparisons') }}

)

select
    pairs.reconciliation,
    count(known.record_key) as known,
    count(*) filter (known.has_been_seen or found.record_key is not null) as still_there
from {{ ref('comparable_pairs') }} as pairs
left join known on known.reconciliation = pairs.reconciliation
left join found on found.reconciliation = known.reconciliation and found.record_key = known.record_key
group by pairs.reconciliation
