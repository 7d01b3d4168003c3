-- One row a row of seeds/decisions.csv: what it does now. One that matches nothing any more is told once, in the run that sees it.
with

this_run as (

    select run_id from {{ ref('this_run') }}

),

earlier as (

    select * from {{ source('published_marts', 'decision_status') }}

),

matches as (

    select decision_id, count(*) as differences, count(*) filter (decision_state = 'in force') as in_force
    from {{ ref('discrepancy_history') }}
    where resolved_at is null and decision_id is not null
    group by decision_id

),

judged as (

    select
        decisions.* exclude (is_pattern, is_expired, is_superseded),
        coalesce(matches.differences, 0) as differences,
        coalesce(matches.in_force, 0) as in_force,
        case
            when decisions.is_expired then 'expired'
            when decisions.is_superseded then 'superseded'
            when matches.in_force > 0 then 'in force'
            when matches.differences > 0 then 'lapsed'
            else 'matches nothing'
        end as state
    from {{ ref('standing_decisions') }} as decisions
    left join matches on matches.decision_id = decisions.decision_id

)

select
    judged.decision_id, judged.discrepancy_id, judged.reconciliation, judged.bucket, judged.field, judged.cause, judged.decision,
    judged.decided_by, judged.decided_at, judged.until, judged.note, judged.differences, judged.in_force, judged.state,
    case when judged.state = earlier.state then earlier.since_run else this_run.run_id end as since_run
from judged
cross join this_run
left join earlier on earlier.decision_id = judged.decision_id
