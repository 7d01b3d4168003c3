-- What was checked before the last run was trusted: what was seen, and what was asked for?
select reconciliation, side, check_name, observed, expected, passed, can_be_accepted, accepted_by, explanation
from marts.trust_checks
where run_id = (select arg_max(run_id, run_seq) from marts.runs)
order by passed, can_be_accepted, reconciliation desc, check_name, side
