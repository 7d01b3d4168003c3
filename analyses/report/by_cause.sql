-- How did what is open come about, and which side is out of date?
select
    reconciliation, cause,
    case stale_side when 'left' then left_system when 'right' then right_system else stale_side end as stale,
    count(*) as open,
    count(*) filter (is_overdue) as overdue,
    min(out_of_step_since) as earliest,
    arg_max(record_key, coalesce(value_at_risk, 0)) as example
from marts.discrepancies
where status = 'open'
group by all
order by open desc, reconciliation desc, cause, stale
