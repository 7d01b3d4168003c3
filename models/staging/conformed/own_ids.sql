-- By which ids a system knows the rows of a record, table by table: what fixes are written by. A view that only they read.
with

rows_of_records as (

    select 'customers' as reconciliation, 'left' as side, 'crm' as system, 'customers' as table_name, customer_number as key,
        {{ own_id('crm', 'customers') }} as id
    from {{ source('crm', 'customers') }}
    union all
    select 'customers', 'right', 'billing', 'customers', customer_number, {{ own_id('billing', 'customers') }}
    from {{ source('billing', 'customers') }}
    union all
    select 'customers', 'right', 'billing', 'subscriptions', customer_number, subscription_id
    from {{ ref('stg_billing__subscriptions') }}
    union all
    select 'contracts', 'left', 'crm', 'deals', contract_number, {{ own_id('crm', 'deals') }}
    from {{ source('crm', 'deals') }}
    union all
    select 'contracts', 'right', 'billing', 'subscriptions', contract_number, subscription_id
    from {{ ref('stg_billing__subscriptions') }}

),

key_map as (

    select reconciliation, {{ normalise_identifier('left_key') }} as left_key, {{ normalise_identifier('right_key') }} as right_key
    from {{ ref('key_map') }}

)

select
    rows_of_records.reconciliation,
    rows_of_records.side,
    rows_of_records.system,
    rows_of_records.table_name,
    coalesce(key_map.right_key, {{ normalise_identifier('rows_of_records.key') }}) as record_key,
    rows_of_records.key::varchar as stated_key,
    rows_of_records.id::varchar as id
from rows_of_records
left join key_map
    on key_map.reconciliation = rows_of_records.reconciliation
    and rows_of_records.side = 'left'
    and key_map.left_key = {{ normalise_identifier('rows_of_records.key') }}
