-- How much do we bill too much or too little? Where both systems have a contract and name different amounts.
-- Before invoices go out. Currencies are never added up; an amount is by month or year as the contract says. What one system has ended
-- is left out: there the whole amount is in question, which what_does_it_cost.sql tells.
with

amounts as (

    select
        reconciliation, currency, direction,
        abs(cast(left_compared as decimal(38, 8)) - cast(right_compared as decimal(38, 8))) as difference
    from marts.discrepancy_history as history
    where status = 'open' and direction like '% bills % than %' and not exists (
        select 1 from marts.discrepancies as ended
        where ended.reconciliation = history.reconciliation and ended.record_key = history.record_key and ended.direction like '% but %'
    )

)

select
    reconciliation, currency, direction,
    count(*) as records,
    cast(sum(difference) as decimal(38, 2)) as difference,
    cast(max(difference) as decimal(38, 2)) as largest
from amounts
group by reconciliation, currency, direction
order by reconciliation, currency, direction
