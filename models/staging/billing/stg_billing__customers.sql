with

source as (

    select * from {{ as_exported('billing', 'customers', {
        'chargebee': ref('stg_chargebee__customers'),
        'stripe': ref('stg_stripe__customers'),
    }) }}

),

renamed as (

    select
        source.customer_number,

        {{ trimmed('source.name') }} as company,
        {{ trimmed('source.email') }} as email,
        {{ trimmed('source.country') }} as country,

        {{ parsed_time('source.created_at') }} as created_at,
        {{ trimmed('source.updated_at') }} as updated_at_stated,
        {{ parsed_time('source.updated_at') }} as updated_at
    from source

)

select * from renamed
