-- Stripe does not say when a customer last changed.
with

source as (

    select * from {{ source('stripe', 'customers') }}

)

select
    customer_number,

    name,
    email,
    address ->> '$.country' as country,

    {{ epoch_as_iso('created') }} as created_at,
    null::varchar as updated_at
from source
