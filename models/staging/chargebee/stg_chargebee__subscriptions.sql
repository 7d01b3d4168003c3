-- A subscription is worth what its plan and its addons are worth together; a charge is billed once and is none of it.
-- Where they differ in period, or one has no amount, there is no one amount a period.
with

source as (

    select * from {{ source('chargebee', 'subscriptions') }}

),

customers as (

    select id, customer_number from {{ source('chargebee', 'customers') }}

),

currencies as (

    select currency, exponent from {{ ref('currencies') }}

),

items as (

    select *, unnest(json_extract(subscription_items, '$[*]')) as item
    from source

),

-- Whole amounts are hundredths, whatever the currency's own minor unit, but for currencies without one. Exact ones are major units.
recurring_items as (

    select
        items.id,
        case when item ->> '$.item_type' = 'plan' then item ->> '$.item_price_id' end as plan,
        coalesce(
            try_cast(item ->> '$.amount_in_decimal' as decimal(38, 12)) * (10 ** coalesce(exponent, 2))::bigint,
            try_cast(item ->> '$.amount' as decimal(38, 12)) * (10 ** greatest(coalesce(exponent, 2) - 2, 0))::bigint
        ) as amount_minor,
        concat_ws(
            ' ',
            nullif(coalesce(item ->> '$.billing_period', billing_period), '1'),
            coalesce(item ->> '$.billing_period_unit', billing_period_unit)
        ) as interval
    from items
    left join currencies on currencies.currency = {{ normalise_identifier('items.currency_code') }}
    where item ->> '$.item_type' is distinct from 'charge'

),

items_per_subscription as (

    select
        id,
        string_agg(plan, ' + ' order by plan) as plan,
        case when count(amount_minor) = count(*) then sum(amount_minor) end as amount_minor,
        count(distinct interval) as intervals,
        any_value(interval) as interval
    from recurring_items
    group by id

)

select
    source.id as subscription_id,
    customers.customer_number,
    source.contract_number,

    source.status,
    items_per_subscription.plan,
    case when intervals = 1 then items_per_subscription.amount_minor::varchar end as amount_minor,
    source.currency_code as currency,
    case when intervals = 1 then items_per_subscription.interval end as interval,

    {{ epoch_as_iso('coalesce(source.started_at, source.start_date)') }} as started_at,
    {{ epoch_as_iso('source.cancelled_at') }} as canceled_at,
    {{ epoch_as_iso('source.updated_at') }} as updated_at
from source
left join customers on source.customer_id = customers.id
left join items_per_subscription on source.id = items_per_subscription.id
