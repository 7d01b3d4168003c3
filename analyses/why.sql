-- Why? What most likely happened to what is open, as far as there is evidence.
-- Before anybody mends records one by one: one cause is often one fault. tallystick explain KEY tells a record's whole story.
select
    reconciliation,
    cause,
    case stale_side when 'left' then left_system when 'right' then right_system else stale_side end as stale,
    count(*) as differences,
    count(distinct record_key) as records,
    min(out_of_step_since) as earliest,
    min(record_key) as for_example
from marts.discrepancies
where status = 'open'
group by reconciliation, cause, case stale_side when 'left' then left_system when 'right' then right_system else stale_side end
order by differences desc, reconciliation, cause, stale
