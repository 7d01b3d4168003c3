with

source as (

    select * from {{ source('salesforce', 'customers') }}

)

select customer_number, company, email, status, country, owner, created_at, updated_at
from source
