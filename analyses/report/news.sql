-- What did the last run list for the first time? Only a trusted run lists anything.
with

last_run as (

    select arg_max(run_id, run_seq) as run_id from marts.runs

)

select
    reconciliation, bucket, field, left_system, right_system, cause,
    case stale_side when 'left' then left_system when 'right' then right_system else stale_side end as stale,
    count(*) as differences,
    count(*) filter (times_reopened > 0) as reopened,
    count(*) filter (status = 'open') as open,
    arg_max(record_key, coalesce(value_at_risk, 0)) as example
from marts.discrepancies
inner join last_run on last_run.run_id = listed_in_run and last_run.run_id = discrepancies.run_id
group by all
order by differences desc, reconciliation desc, bucket, field, cause, stale
