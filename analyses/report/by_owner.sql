-- Who decides, and what is late?
select
    coalesce(owner, 'nobody') as owner,
    count(*) filter (status = 'open') as open,
    count(*) filter (status = 'quarantined') as quarantined,
    count(*) filter (status = 'accepted') as accepted,
    count(*) filter (is_overdue) as overdue,
    min(due_at) filter (status in ('open', 'quarantined') and not is_overdue) as next_due_at
from marts.discrepancies
where status != 'in_flight'
group by all
order by overdue desc, open desc, owner
