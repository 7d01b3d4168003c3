with

source as (

    select * from {{ as_exported('crm', 'deals', {
        'hubspot': ref('stg_hubspot__deals'),
        'pipedrive': ref('stg_pipedrive__deals'),
        'salesforce': ref('stg_salesforce__deals'),
    }) }}

),

status_map as (

    select word, status from {{ ref('status_map') }} where system = 'crm' and table_name = 'deals'

),

renamed as (

    select
        source.contract_number,
        source.customer_number,

        {{ trimmed('source.stage') }} as status_stated,
        status_map.status,
        {{ trimmed('source.plan') }} as plan,
        {{ trimmed('source.amount') }} as amount_stated,
        {{ parsed_number('source.amount', 20, 8) }} as amount,
        {{ trimmed('source.currency') }} as currency_stated,
        {{ normalise_identifier('source.currency') }} as currency,
        {{ trimmed('source.interval') }} as interval,
        {{ trimmed('source.starts_on') }} as starts_on_stated,
        ({{ parsed_time('source.starts_on') }})::date as starts_on,

        {{ parsed_time('source.created_at') }} as created_at,
        {{ trimmed('source.updated_at') }} as updated_at_stated,
        {{ parsed_time('source.updated_at') }} as updated_at
    from source
    left join status_map on status_map.word = {{ normalise_caseless('source.stage') }}

)

select * from renamed
