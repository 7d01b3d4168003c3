-- Can I trust this morning's list, and how old is it? The last run's verdict of each pair, and of when the list is.
-- First of all. Where a run was not trusted the list is the last trusted one's, and what failed stands beside it.
with

pairs as (

    select
        reconciliation,
        max(run_seq) as last_seq,
        max(as_of) filter (where verdict = 'trusted') as list_is_of
    from marts.runs
    group by reconciliation

),

failed as (

    select run_id, reconciliation, string_agg(side || ': ' || explanation, '; ' order by check_name, side) as what_failed
    from marts.trust_checks
    where not passed
    group by run_id, reconciliation

)

select
    runs.reconciliation, runs.verdict, runs.as_of as last_run_of, pairs.list_is_of,
    floor(extract(epoch from (now() - pairs.list_is_of)) / 3600) as hours_old,
    runs.left_system, runs.left_in_scope, runs.right_system, runs.right_in_scope, failed.what_failed
from pairs
inner join marts.runs as runs on runs.reconciliation = pairs.reconciliation and runs.run_seq = pairs.last_seq
left join failed on failed.run_id = runs.run_id and failed.reconciliation = runs.reconciliation
order by runs.reconciliation desc
