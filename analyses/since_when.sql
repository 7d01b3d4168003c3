-- Since when? When each open difference began, the oldest first, and on what that rests.
-- When a difference is to be put right backwards: what has been billed since then is in question too.
select
    reconciliation, record_key, bucket, field, out_of_step_since,
    case when is_since_exact then 'exactly' else 'at the latest' end as known,
    first_seen_at, floor(age_hours / 24) as days_known, agreed_at, cause_evidence
from marts.discrepancies
where status = 'open'
order by out_of_step_since, reconciliation, record_key, bucket, field
