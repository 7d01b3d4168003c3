with

source as (

    select * from {{ as_exported('crm', 'customers', {
        'hubspot': ref('stg_hubspot__customers'),
        'pipedrive': ref('stg_pipedrive__customers'),
        'salesforce': ref('stg_salesforce__customers'),
    }) }}

),

status_map as (

    select word, status from {{ ref('status_map') }} where system = 'crm' and table_name = 'customers'

),

renamed as (

    select
        source.customer_number,

        {{ trimmed('source.company') }} as company,
        {{ trimmed('source.email') }} as email,
        {{ trimmed('source.country') }} as country,
        {{ trimmed('source.owner') }} as owner,
        {{ trimmed('source.status') }} as status_stated,
        status_map.status,

        {{ parsed_time('source.created_at') }} as created_at,
        {{ trimmed('source.updated_at') }} as updated_at_stated,
        {{ parsed_time('source.updated_at') }} as updated_at
    from source
    left join status_map on status_map.word = {{ normalise_caseless('source.status') }}

)

select * from renamed
