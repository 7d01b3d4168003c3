-- One row a difference ever seen, whether it is still there or not: the memory that the next run reads.
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
    ledger.last_seen_run,
    ledger.runs_seen,
    ledger.times_reopened,
    ledger.opened_at,
    ledger.opened_in_run,
    ledger.listed_at,
    ledger.listed_in_run,
    ledger.resolved_at,
    ledger.resolved_in_run,
    ledger.resolution,
    ledger.left_updated_at,
    ledger.right_updated_at,
    ledger.value_at_risk,
    ledger.currency,
    ledger.direction,
    ledger.stale_side,
    ledger.cause,
    ledger.cause_evidence,
    ledger.out_of_step_since,
    ledger.is_since_exact,
    ledger.agreed_at,
    ledger.base_value,
    ledger.candidate_key,
    ledger.candidate_score,
    ledger.arrived_at,
    ledger.sides_before,
    ledger.left_base,
    ledger.right_base,
    ledger.last_agreed,
    ledger.left_compared,
    ledger.right_compared,
    ledger.owner,
    ledger.days_to_decide,
    ledger.response,
    ledger.response_reason,
    ledger.fix_objection,
    ledger.decision_id,
    ledger.decision_state,
    ledger.decided_left,
    ledger.decided_right,
    ledger.decided_fix,
    ledger.lag_hours
from ledger
left join pairs on pairs.reconciliation = ledger.reconciliation
