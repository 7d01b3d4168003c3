-- In which bucket and field are the differences?
select
    reconciliation, bucket, field, left_system, right_system,
    count(*) filter (status = 'open') as open,
    count(*) filter (status = 'in_flight') as in_flight,
    count(*) filter (status = 'quarantined') as quarantined,
    count(*) filter (status = 'accepted') as accepted,
    max(age_hours) filter (status = 'open') as oldest_hours
from marts.discrepancies
group by all
order by open desc, reconciliation desc, in_flight desc, quarantined desc, bucket, field
