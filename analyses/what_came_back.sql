-- What came back? Differences that had been resolved and are there again, the most stubborn first.
-- When the same names turn up every month: somebody mends the record, and something unmends it.
select
    reconciliation, record_key, bucket, field, status, times_reopened, first_seen_at, opened_at, cause, cause_evidence, owner
from marts.discrepancies
where times_reopened > 0
order by times_reopened desc, reconciliation, record_key, bucket, field
