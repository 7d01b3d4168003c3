select
    contract_number,

    status_stated,
    status,
    plan,
    amount_stated,
    amount,
    currency_stated,
    currency,
    interval,
    starts_on_stated,
    starts_on,
    (status is distinct from 'inactive') as is_in_scope,

    created_at,
    updated_at_stated,
    updated_at
from {{ ref('stg_crm__deals') }}
