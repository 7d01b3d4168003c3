-- One row a difference ever seen, whether it is still there or not.
with

ledger as (

    select * from {{ ref('ledger') }}

),

pairs as (

    select * from {{ ref('pairs') }}

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
    ledger.resolved_at,
    ledger.resolution
from ledger
inner join pairs on pairs.reconciliation = ledger.reconciliation
