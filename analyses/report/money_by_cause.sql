-- What is what is open worth, by cause, in each currency by itself? A record counts once a cause.
select reconciliation, currency, cause, records, value_at_risk
from marts.values_at_risk
where status = 'open' and value_at_risk is not null
order by reconciliation desc, currency nulls last, value_at_risk desc, cause
