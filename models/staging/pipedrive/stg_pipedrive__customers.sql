-- A person's e-mail is the primary one of several; an organization has none but in a custom field.
with

source as (

    select *, from_json(emails, '[{"value": "varchar", "primary": "boolean"}]') as addresses
    from {{ source('pipedrive', 'customers') }}

)

select
    customer_number,

    name as company,
    coalesce(email, list_filter(addresses, lambda address: address.primary)[1].value) as email,
    status,
    country,
    owner_id as owner,

    add_time as created_at,
    update_time as updated_at
from source
