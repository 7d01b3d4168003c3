-- One row a write that the last run plans. None is done unless a person applies the plan; one breaker that trips stops all of them.
with

this_run as (

    select run_id from {{ ref('this_run') }}

),

tripped as (

    select string_agg(breaker || ': ' || explanation, '; ' order by breaker, reconciliation, policy) as breakers
    from {{ ref('fix_breakers') }}
    where tripped and run_id in (select run_id from this_run)

)

select
    this_run.run_id,
    planned.reconciliation,
    planned.discrepancy_id,
    planned.idempotency_key,
    planned.writes_to as target_system,
    planned.operation,
    planned.record_key,
    planned.field,
    planned.from_value,
    planned.to_value,
    planned.policy,
    planned.response_reason as allowed_because,
    planned.left_value,
    planned.right_value,
    planned.times_seen as runs_seen,
    tripped.breakers is not null as is_stopped,
    tripped.breakers as stopped_because
from {{ ref('planned_writes') }} as planned
cross join this_run
cross join tripped
