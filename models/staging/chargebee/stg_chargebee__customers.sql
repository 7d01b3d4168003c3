with

source as (

    select * from {{ source('chargebee', 'customers') }}

)

select
    customer_number,

    coalesce(company, nullif(concat_ws(' ', first_name, last_name), '')) as name,
    email,
    billing_address ->> '$.country' as country,

    {{ epoch_as_iso('created_at') }} as created_at,
    {{ epoch_as_iso('updated_at') }} as updated_at
from source
