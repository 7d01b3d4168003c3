-- Is it getting better? What came and went week by week, and what was open at the week's end.
-- For the monthly meeting. What came is what outlived the lag; what went is all that was resolved, also what the sync brought within it.
with

nights as (

    select
        reconciliation, run_seq, date_trunc('week', max(as_of)) as week,
        sum(listed) as listed, sum(resolved) as resolved, sum(still_open) as still_open, sum(older_than_a_month) as older_than_a_month
    from marts.drift_daily
    group by reconciliation, run_seq

),

weeks as (

    select reconciliation, week, max(run_seq) as last_seq, sum(listed) as came, sum(resolved) as went, count(*) as trusted_runs
    from nights
    group by reconciliation, week

)

select
    weeks.reconciliation, cast(weeks.week as date) as week, weeks.trusted_runs,
    cast(weeks.came as bigint) as came, cast(weeks.went as bigint) as went,
    cast(nights.still_open as bigint) as open, cast(nights.older_than_a_month as bigint) as older_than_a_month
from weeks
inner join nights on nights.reconciliation = weeks.reconciliation and nights.run_seq = weeks.last_seq
order by weeks.reconciliation desc, weeks.week
