-- One row a compared pair: how many records had an open conflict before this run, and how many of those either side still holds.
with

known as (

    select distinct reconciliation, record_key
    from {{ source('published_marts', 'discrepancy_history') }}
    where bucket = 'conflict' and resolved_at is null

),

-- reconcile() reads every key with an open difference again, so a key without a row is on neither side.
still_there as (

    select distinct reconciliation, record_key from {{ ref('comparisons') }}

)

select
    pairs.reconciliation,
    count(known.record_key) as known,
    count(still_there.record_key) as still_there
from {{ ref('comparable_pairs') }} as pairs
left join known on known.reconciliation = pairs.reconciliation
left join still_there on still_there.reconciliation = known.reconciliation and still_there.record_key = known.record_key
group by pairs.reconciliation
