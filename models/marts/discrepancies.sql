-- One row a current difference. As of the last run in which its pair was trusted: an untrusted run changes nothing here.
with

history as (

    select * from {{ ref('discrepancy_history') }} where resolved_at is null

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
    history.discrepancy_id,
    history.reconciliation,
    history.record_key,
    history.bucket,
    history.field,
    history.left_system,
    history.right_system,
    history.left_value,
    history.right_value,
    history.status,
    history.first_seen_at,
    history.last_seen_at,
    history.runs_seen,
    history.times_reopened,
    history.opened_at,
    history.opened_in_run,
    history.listed_at,
    history.listed_in_run,
    round(date_diff('second', history.first_seen_at, coalesce(last_trusted.as_of, history.last_seen_at)) / 3600.0, 2)::double as age_hours,
    history.left_updated_at,
    history.right_updated_at,
    history.value_at_risk,
    history.currency,
    history.direction,
    history.stale_side,
    history.cause,
    history.cause_evidence,
    history.out_of_step_since,
    history.is_since_exact,
    history.agreed_at,
    history.base_value,
    history.candidate_key,
    history.candidate_score,
    history.lag_hours,
    history.response,
    history.response_reason,
    history.fix_objection,
    history.owner,
    history.listed_at + to_days(history.days_to_decide) as due_at,
    coalesce(due_at < coalesce(last_trusted.as_of, history.last_seen_at) and history.status in ('open', 'quarantined'), false)
        as is_overdue,
    coalesce(last_trusted.run_id, history.last_seen_run) as run_id
from history
semi join pairs on pairs.reconciliation = history.reconciliation
left join last_trusted on last_trusted.reconciliation = history.reconciliation
