-- A subscription is worth what its items are worth together. Where they differ in interval, or one has no unit amount, as with tiers,
-- there is no one amount a period.
with

source as (

    select * from {{ source('stripe', 'subscriptions') }}

),

customers as (

    select id, customer_number from {{ source('stripe', 'customers') }}

),

items as (

    select id, unnest(json_extract(items, '$.data[*]')) as item
    from source

),

priced_items as (

    select
        id,
        item ->> '$.price.id' as price_id,
        coalesce(item ->> '$.price.lookup_key', item ->> '$.price.nickname', item ->> '$.price.id') as plan,
        (item ->> '$.price.unit_amount_decimal')::decimal(38, 12) * coalesce((item ->> '$.quantity')::bigint, 1) as amount_minor,
        concat_ws(' ', nullif(item ->> '$.price.recurring.interval_count', '1'), item ->> '$.price.recurring.interval') as interval
    from items

),

items_per_subscription as (

    select
        id,
        string_agg(plan, ' + ' order by price_id) as plan,
        case when count(amount_minor) = count(*) then sum(amount_minor) end as amount_minor,
        count(distinct interval) as intervals,
        any_value(interval) as interval
    from priced_items
    group by id

)

select
    source.id as subscription_id,
    customers.customer_number,
    source.contract_number,

    source.status,
    items_per_subscription.plan,
    case when intervals = 1 then items_per_subscription.amount_minor::varchar end as amount_minor,
    source.currency,
    case when intervals = 1 then items_per_subscription.interval end as interval,

    {{ epoch_as_iso('source.start_date') }} as started_at,
    {{ epoch_as_iso('source.canceled_at') }} as canceled_at,
    null::varchar as updated_at
from source
left join customers on source.customer = customers.id
left join items_per_subscription on source.id = items_per_subscription.id
