select
    record_number,

    name,
    email,
    status,
    country,
    plan,
    amount,
    currency,
    starts_on,
    status is distinct from 'inactive' as is_in_scope,

    updated_at
from {{ source('billing', 'records') }}
