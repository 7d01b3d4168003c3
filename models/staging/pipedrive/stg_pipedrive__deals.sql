with

source as (

    select * from {{ source('pipedrive', 'deals') }}

)

select
    contract_number,
    customer_number,

    status as stage,
    plan,
    {{ without_exponent('value') }} as amount,
    currency,
    interval,
    starts_on,

    add_time as created_at,
    update_time as updated_at
from source
