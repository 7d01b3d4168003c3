-- What was put right this week, and how long had it stood? Of what outlived the lag; what the sync brought by itself is left out.
-- On Mondays, beside what_started_this_week.sql.
with

trusted as (

    select reconciliation, max(as_of) as last_as_of from marts.runs where verdict = 'trusted' group by reconciliation

)

select
    history.reconciliation, history.resolution, history.bucket, history.field,
    count(*) as differences,
    floor(percentile_cont(0.5) within group (order by extract(epoch from (history.resolved_at - history.opened_at)) / 86400)) as median_days
from marts.discrepancy_history as history
inner join trusted on trusted.reconciliation = history.reconciliation
where history.resolved_at > trusted.last_as_of - interval '7 days' and history.listed_at is not null
group by history.reconciliation, history.resolution, history.bucket, history.field
order by differences desc, history.reconciliation, history.resolution, history.bucket, history.field
