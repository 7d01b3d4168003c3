with

source as (

    select * from {{ source('hubspot', 'deals') }}

)

select contract_number, customer_number, stage, plan, amount, currency, interval, starts_on, created_at, updated_at
from source
