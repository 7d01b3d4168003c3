-- What does it cost? The value of the open records, by the way the money runs. Rows of one pair and currency add up; others never do.
-- Each record stands once, with its whole value by month or year as the contract says; what is over- or underbilled by how much:
-- how_much_is_billed_wrongly.sql.
with

records as (

    select
        reconciliation,
        record_key,
        max(currency) as currency,
        max(value_at_risk) as value_at_risk,
        coalesce(max(direction) filter (where direction like '% but %'), max(direction), min(field) || ' differs') as direction
    from marts.discrepancies
    where status = 'open'
    group by reconciliation, record_key

)

select
    reconciliation,
    currency,
    direction,
    count(*) as records,
    cast(sum(value_at_risk) as decimal(38, 2)) as value_at_risk,
    count(*) filter (where value_at_risk is null) as without_a_value
from records
group by reconciliation, currency, direction
order by reconciliation, currency, value_at_risk desc nulls last, direction
