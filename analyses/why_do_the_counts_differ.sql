-- Why does one system count 1,180 and the other 1,224? From the left count to the right one, step by step.
-- As of each pair's last trusted run. What stays unexplained are records without a usable key: what_can_not_be_compared.sql.
with

last_trusted as (

    select *
    from marts.runs as runs
    where verdict = 'trusted' and not exists (
        select 1 from marts.runs as later
        where later.reconciliation = runs.reconciliation and later.verdict = 'trusted' and later.run_seq > runs.run_seq
    )

),

counted_once as (

    select
        reconciliation, direction, status, count(*) as records,
        case when direction like '% in ' || max(right_system) || ' but %' then 1 else -1 end as sign
    from marts.discrepancies
    where direction like '% but %'
    group by reconciliation, direction, status

),

steps as (

    select reconciliation, 1 as step, left_system || ' counts' as what, '' as status, left_in_scope as records from last_trusted
    union all
    select reconciliation, 2, direction, status, sign * records from counted_once
    union all
    select
        reconciliation, 3, 'not explained by the list', '',
        right_in_scope - left_in_scope - coalesce(
            (select sum(sign * records) from counted_once where counted_once.reconciliation = last_trusted.reconciliation), 0
        )
    from last_trusted
    union all
    select reconciliation, 4, right_system || ' counts', '', right_in_scope from last_trusted

)

select reconciliation, what, status, cast(records as bigint) as records
from steps
order by reconciliation desc, step, what, status
