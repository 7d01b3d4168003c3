with

source as (

    select * from {{ source('salesforce', 'deals') }}

)

select
    contract_number,
    customer_number,

    stage,
    plan,
    {{ without_exponent('amount') }} as amount,
    currency,
    interval,
    starts_on,

    created_at,
    updated_at
from source
