select
    customer_number,

    email,
    country,
    status_stated,
    status,
    (status is distinct from 'inactive') as is_in_scope,

    updated_at_stated,
    updated_at
from {{ ref('stg_crm__customers') }}
