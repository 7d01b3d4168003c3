-- One row a pair, status, cause and currency of what is open or quarantined: each record's value once a cause, however many of its fields
-- differ. Currencies are never added up: not with one another, nor what has none.
with

records as (

    select reconciliation, status, cause, record_key, currency, count(*) as differences, any_value(value_at_risk) as value_at_risk
    from {{ ref('discrepancies') }}
    where status in ('open', 'quarantined')
    group by all

)

select
    reconciliation,
    status,
    cause,
    currency,
    sum(differences)::bigint as differences,
    count(*) as records,
    (sum(value_at_risk) filter (currency is not null))::decimal(38, 8) as value_at_risk
from records
group by all
