-- What started this week? What outlived the lag in the seven days before the last trusted run, and what became of it.
-- On Mondays. A pair's first run is left out: its list is the inventory, and no news.
with

trusted as (

    select reconciliation, min(run_seq) as first_seq, max(as_of) as last_as_of
    from marts.runs
    where verdict = 'trusted'
    group by reconciliation

)

select
    history.reconciliation, history.bucket, history.field, history.cause,
    count(*) as started,
    count(*) filter (where history.status = 'resolved') as gone_again,
    count(*) filter (where history.times_reopened > 0) as had_been_there,
    min(history.out_of_step_since) as earliest,
    min(history.record_key) as for_example
from marts.discrepancy_history as history
inner join trusted on trusted.reconciliation = history.reconciliation
inner join marts.runs as listed_in on listed_in.run_id = history.listed_in_run and listed_in.reconciliation = history.reconciliation
where history.listed_at > trusted.last_as_of - interval '7 days' and listed_in.run_seq > trusted.first_seq
group by history.reconciliation, history.bucket, history.field, history.cause
order by started desc, history.reconciliation, history.bucket, history.field, history.cause
