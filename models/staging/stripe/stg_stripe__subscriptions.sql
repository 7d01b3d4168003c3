-- A subscription is worth what its items are worth together. Where they differ in interval, there is no one amount a period.
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

items_per_subscription as (

    select
        id,
        string_agg(coalesce(item ->> '$.price.lookup_key', item ->> '$.price.nickname', item ->> '$.price.id'), ' + ' order by item ->> '$.price.id') as plan,
        sum((item ->> '$.price.unit_amount_decimal')::decimal(38, 12) * coalesce((item ->> '$.quantity')::bigint, 1)) as amount_minor,
        count(distinct concat_ws(' ', item ->> '$.price.recurring.interval_count', item ->> '$.price.recurring.interval')) as intervals,
        any_value(concat_ws(' ', nullif(item ->> '$.price.recurring.interval_count', '1'), item ->> '$.price.recurring.interval')) as interval
    from items
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
