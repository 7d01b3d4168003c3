select
    contract_number,

    status_stated,
    status,
    plan,
    case
        when amount is null then amount_minor || ' minor units'
        when ends_with(amount::varchar, repeat('0', 8 - currency_exponent)) then rtrim(left(amount::varchar, currency_exponent - 8), '.')
        else rtrim(amount::varchar, '0')
    end as amount_stated,
    amount,
    currency_stated,
    currency,
    interval,
    starts_on_stated,
    starts_on,
    (status is distinct from 'inactive') as is_in_scope,

    null::timestamptz as created_at,   -- a subscription's export tells when it starts, not when it was made
    updated_at_stated,
    updated_at
from {{ ref('stg_billing__subscriptions') }}
