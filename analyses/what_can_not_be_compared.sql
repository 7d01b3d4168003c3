-- What can't be compared, and why? Records without a usable key, of which nothing is said in the list.
-- When the counts don't quite add up; marts.unreconcilable has each record whole.
select reconciliation, system, reason, count(*) as records, min(record_key) as for_example
from marts.unreconcilable
group by reconciliation, system, reason
order by records desc, reconciliation, system, reason
