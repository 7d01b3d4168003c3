-- Which kinds could be left to a policy? Kinds of difference by how uniformly people decided them, one difference at a time.
-- After some weeks of decisions. A pattern is left out, as it decides what nobody has looked at. docs/response.md says how to read it.
with

decided as (

    select
        history.reconciliation, history.bucket, history.field, history.cause, history.discrepancy_id,
        decisions.decision, decisions.decided_by, fixes.verification
    from marts.discrepancy_history as history
    inner join marts.decision_status as decisions on decisions.discrepancy_id = history.discrepancy_id
    left join marts.fix_log as fixes
        on fixes.discrepancy_id = history.discrepancy_id and fixes.verification is not null

),

counted as (

    select
        reconciliation, bucket, field, cause, decision,
        count(distinct discrepancy_id) as differences,
        list(distinct decided_by) as people,
        count(distinct discrepancy_id) filter (verification = 'verified') as verified,
        count(distinct discrepancy_id) filter (verification = 'failed') as failed
    from decided
    group by all

)

select
    reconciliation, bucket, field, cause,
    arg_max(decision, differences) as commonest_decision,
    sum(differences)::bigint as decided,
    round(max(differences) / sum(differences), 2) as share_decided_so,
    len(list_distinct(flatten(list(people)))) as people,
    sum(verified)::bigint as verified,
    sum(failed)::bigint as failed
from counted
group by reconciliation, bucket, field, cause
order by share_decided_so desc, decided desc, reconciliation, bucket, field, cause
