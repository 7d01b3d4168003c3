-- Who owns it? What lies with each owner, what of it is late, and when the next is due.
-- In the morning, before anybody asks why nobody did anything.
select
    coalesce(owner, 'nobody') as owner,
    reconciliation,
    count(*) filter (where status = 'open') as open,
    count(*) filter (where status = 'quarantined') as quarantined,
    count(*) filter (where is_overdue) as overdue,
    floor(max(age_hours) filter (where status = 'open') / 24) as oldest_days,
    min(due_at) filter (where status in ('open', 'quarantined') and not is_overdue) as next_due_at
from marts.discrepancies
group by coalesce(owner, 'nobody'), reconciliation
order by overdue desc, open desc, owner, reconciliation
