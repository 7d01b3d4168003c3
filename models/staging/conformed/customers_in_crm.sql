select
    customer_number,

    company,
    email,
    country,
    status_stated,
    status,
    (status is distinct from 'inactive') as is_in_scope,

    created_at,
    updated_at_stated,
    updated_at
from {{ ref('stg_crm__customers') }}
