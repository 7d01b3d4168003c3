-- What is new today? What the last trusted run was the first to call open, and why.
-- Every morning: the rest of the list was there yesterday.
select
    reconciliation, record_key, bucket, field, left_value, right_value, cause, cause_evidence, direction,
    owner, due_at, value_at_risk, currency
from marts.discrepancies
where listed_in_run = run_id and status = 'open'
order by reconciliation, cause, currency, value_at_risk desc nulls last, record_key, bucket, field
