-- One row an attempt to write a fix: what was tried, how it ended, and whether the next trusted run saw the difference gone.
select
    idempotency_key, attempt, discrepancy_id, run_id, reconciliation, target_system, operation, record_key, field, from_value, to_value,
    attempted_at, outcome, detail, verification, verified_in_run
from {{ ref('attempts') }}
