-- One row a current difference. As of the last run in which its pair was trusted: an untrusted run changes nothing here.
with

ledger as (

    select * from {{ ref('ledger') }} where resolved_at is null

),

pairs as (

    select * from {{ ref('pairs') }}

),

last_trusted as (

    select reconciliation, run_id, as_of
    from {{ ref('runs') }}
    where verdict = 'trusted'
    qualify row_number() over (partition by reconciliation order by run_seq desc) = 1

)

select
    ledger.discrepancy_id,
    ledger.reconciliation,
    ledger.record_key,
    ledger.bucket,
    ledger.field,
    pairs.left_system,
    pairs.right_system,
    ledger.left_value,
    ledger.right_value,
    ledger.status,
    ledger.first_seen_at,
    ledger.last_seen_at,
    ledger.runs_seen,
    ledger.times_reopened,
    ledger.opened_at,
    ledger.opened_in_run,
    round(date_diff('second', ledger.first_seen_at, coalesce(last_trusted.as_of, ledger.last_seen_at)) / 3600.0, 2)::double as age_hours,
    ledger.left_updated_at,
    ledger.right_updated_at,
    ledger.value_at_risk,
    ledger.currency,
    coalesce(last_trusted.run_id, ledger.last_seen_run) as run_id
from ledger
inner join pairs on pairs.reconciliation = ledger.reconciliation
left join last_trusted on last_trusted.reconciliation = ledger.reconciliation
