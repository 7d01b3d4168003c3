-- Can the last run be trusted, how many are on both sides, and of when is each pair's list?
with

overdue as (

    select reconciliation, count(*) filter (is_overdue) as overdue
    from marts.discrepancies
    group by reconciliation

)

select
    runs.run_id, runs.reconciliation, runs.as_of, runs.verdict, runs.left_system, runs.right_system, runs.left_rows, runs.right_rows,
    runs.left_in_scope, runs.right_in_scope, runs.matched, runs.open, runs.in_flight, runs.quarantined, runs.accepted,
    runs.opened, runs.resolved, runs.listed, runs.has_wave, runs.seconds,
    coalesce(overdue.overdue, 0) as overdue,
    before.as_of as before_as_of,
    if(runs.verdict = 'trusted', runs.as_of, before.as_of) as list_as_of
from marts.runs as runs
left join overdue on overdue.reconciliation = runs.reconciliation
left join lateral (
    select as_of from marts.runs as earlier
    where earlier.reconciliation = runs.reconciliation and earlier.verdict = 'trusted' and earlier.run_seq < runs.run_seq
    order by run_seq desc limit 1
) as before on true
where runs.run_seq = (select max(latest.run_seq) from marts.runs as latest)
order by runs.reconciliation desc
