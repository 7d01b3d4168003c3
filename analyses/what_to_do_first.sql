-- What do I do first? What is open, late before due, and of one currency the dearest first.
-- To work down. Add `and owner = 'Finance'` for one desk.
select
    owner, due_at, is_overdue, reconciliation, record_key, bucket, field, left_value, right_value,
    direction, cause, floor(age_hours / 24) as days_known, value_at_risk, currency
from marts.discrepancies
where status = 'open'
order by cast(due_at as date), currency, value_at_risk desc nulls last, reconciliation, record_key, bucket, field
