select
    contract_number,

    status_stated,
    status,
    plan,
    coalesce(rtrim(left(amount::varchar, currency_exponent - 8), '.'), amount_minor || ' minor units') as amount_stated,
    amount,
    currency,
    interval,
    starts_on_stated,
    starts_on,
    (status is distinct from 'inactive') as is_in_scope,

    updated_at_stated,
    updated_at
from {{ ref('stg_billing__subscriptions') }}
