with

source as (

    select * from {{ as_exported('billing', 'subscriptions', {
        'chargebee': ref('stg_chargebee__subscriptions'),
        'stripe': ref('stg_stripe__subscriptions'),
    }) }}

),

status_map as (

    select word, status from {{ ref('status_map') }} where system = 'billing' and table_name = 'subscriptions'

),

currencies as (

    select currency, exponent, (1 / power(10, exponent))::decimal(10, 4) as minor_unit from {{ ref('currencies') }}

),

renamed as (

    select
        source.subscription_id,
        source.customer_number,
        source.contract_number,

        {{ trimmed('source.status') }} as status_stated,
        status_map.status,
        {{ trimmed('source.plan') }} as plan,
        ({{ parsed_number('source.amount_minor', 24, 4) }}) * currencies.minor_unit as amount,
        {{ trimmed('source.amount_minor') }} as amount_minor,
        currencies.exponent as currency_exponent,
        {{ trimmed('source.currency') }} as currency_stated,
        {{ normalise_identifier('source.currency') }} as currency,
        {{ trimmed('source.interval') }} as interval,
        {{ trimmed('source.started_at') }} as starts_on_stated,
        ({{ parsed_time('source.started_at') }})::date as starts_on,

        {{ parsed_time('source.canceled_at') }} as canceled_at,
        {{ trimmed('source.updated_at') }} as updated_at_stated,
        {{ parsed_time('source.updated_at') }} as updated_at
    from source
    left join status_map on status_map.word = {{ normalise_caseless('source.status') }}
    left join currencies on currencies.currency = {{ normalise_identifier('source.currency') }}

)

select * from renamed
