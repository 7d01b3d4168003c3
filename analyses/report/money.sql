-- What is what is open worth, in each currency by itself, and which way does the money run? A record counts once a line, however many
-- of its fields differ; the line without a direction is all of the currency. Currencies are never added.
with

records as (

    select distinct reconciliation, record_key, status, currency, value_at_risk, coalesce(direction, 'not said') as direction
    from marts.discrepancies
    where status in ('open', 'quarantined') and value_at_risk is not null

),

totals as (

    select distinct reconciliation, record_key, status, currency, value_at_risk, null as direction from records

)

select
    reconciliation, currency, direction,
    count(*) filter (status = 'open') as open_records,
    coalesce(sum(value_at_risk) filter (status = 'open'), 0) as open_value,
    count(*) filter (status = 'quarantined') as quarantined_records,
    coalesce(sum(value_at_risk) filter (status = 'quarantined'), 0) as quarantined_value
from (select * from totals union all by name select * from records) as lines
group by all
order by reconciliation desc, currency nulls last, direction nulls first
