-- What did we decide to let stand? What is accepted or quarantined: by whom, until when and why.
-- Before an audit, and at the end of a quarter: none of it is in the open list.
select
    now_there.status, now_there.reconciliation, now_there.record_key, now_there.bucket, now_there.field,
    now_there.left_value, now_there.right_value, now_there.response_reason,
    decided.decided_by, decided.decided_at, decided.until, decided.note, now_there.value_at_risk, now_there.currency
from marts.discrepancies as now_there
inner join marts.discrepancy_history as history on history.discrepancy_id = now_there.discrepancy_id
left join marts.decision_status as decided on decided.decision_id = history.decision_id and history.decision_state = 'in force'
where now_there.status in ('accepted', 'quarantined')
order by now_there.status, now_there.reconciliation, now_there.record_key, now_there.bucket, now_there.field
