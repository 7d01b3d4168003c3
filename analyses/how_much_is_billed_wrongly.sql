-- How much do we bill too much or too little? Where both systems have a contract and name different amounts.
-- Before invoices go out. Currencies are never added up; an amount is by month or year as the contract says.
with

amounts as (

    select
        reconciliation, currency, direction,
        abs(cast(left_compared as decimal(38, 8)) - cast(right_compared as decimal(38, 8))) as difference
    from marts.discrepancy_history
    where status = 'open' and direction like '% bills % than %'

)

select
    reconciliation, currency, direction,
    count(*) as records,
    cast(sum(difference) as decimal(38, 2)) as difference,
    cast(max(difference) as decimal(38, 2)) as largest
from amounts
group by reconciliation, currency, direction
order by reconciliation, currency, direction
