-- Which 44? Every open record that one system counts as running and the other does not.
-- When the two counts differ and somebody wants names; why_do_the_counts_differ.sql adds them up to the counts.
select
    reconciliation, record_key, direction, left_system, left_value, right_system, right_value,
    cause, out_of_step_since, owner, value_at_risk, currency
from marts.discrepancies
where status = 'open' and direction like '% but %'
order by reconciliation desc, direction, record_key
