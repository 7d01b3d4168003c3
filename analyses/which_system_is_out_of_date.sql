-- Which system is out of date, and in what? Of what is open; unknown where nothing proves it.
-- When the two teams each say that it is the other one.
select
    case stale_side when 'left' then left_system when 'right' then right_system else stale_side end as stale,
    reconciliation,
    bucket,
    field,
    count(*) as differences,
    min(out_of_step_since) as earliest
from marts.discrepancies
where status = 'open'
group by
    case stale_side when 'left' then left_system when 'right' then right_system else stale_side end,
    reconciliation,
    bucket,
    field
order by differences desc, stale, reconciliation, bucket, field
