-- Every current difference with its evidence, what is to be looked at first on top. Times are UTC.
with

last_run as (

    select arg_max(run_id, run_seq) as run_id from marts.runs

)

select
    discrepancy_id as id, reconciliation as pair, record_key as key,
    case bucket
        when 'left_only' then 'in ' || left_system || ', not in ' || right_system
        when 'right_only' then 'in ' || right_system || ', not in ' || left_system
        else field || ' differs'
    end as difference,
    bucket, left_system, left(left_value, 300) as left_value, right_system, left(right_value, 300) as right_value,
    cause, case stale_side when 'left' then left_system when 'right' then right_system else stale_side end as stale,
    left(cause_evidence, 500) as evidence, direction, left(candidate_key, 300) as candidate,
    strftime(out_of_step_since, '%Y-%m-%d %H:%M') as since, is_since_exact,
    strftime(agreed_at, '%Y-%m-%d %H:%M') as agreed, left(base_value, 300) as base,
    strftime(first_seen_at, '%Y-%m-%d %H:%M') as first_seen, age_hours::bigint as age, runs_seen, times_reopened as reopened,
    value_at_risk::decimal(38, 2)::varchar as value, currency,
    coalesce(owner, 'nobody') as owner, strftime(due_at, '%Y-%m-%d') as due, is_overdue as overdue,
    status, coalesce(listed_in_run = last_run.run_id, false) as new, response_reason as response
from marts.discrepancies
cross join last_run
order by
    new desc, is_overdue desc nulls last, status = 'open' desc, status = 'quarantined' desc,
    age_hours desc, value_at_risk desc nulls last, reconciliation desc, record_key, discrepancy_id
