with

customers as (

    select *, {{ normalise_identifier('customer_number') }} as customer_key from {{ ref('stg_billing__customers') }}

),

subscriptions as (

    select *, {{ normalise_identifier('customer_number') }} as customer_key from {{ ref('stg_billing__subscriptions') }}

),

-- One word nobody mapped makes the customer's status unknown, unless another subscription settles it as active.
subscriptions_per_customer as (

    select
        customer_key,
        string_agg(distinct coalesce(status_stated, 'no status'), ', ' order by coalesce(status_stated, 'no status')) as status_stated,
        case
            when bool_or(status is not distinct from 'active') then 'active'
            when bool_or(status is null) then null
            when bool_or(status = 'paused') then 'paused'
            else 'inactive'
        end as status,
        max(updated_at) as updated_at,
        max(updated_at_stated) as updated_at_stated,
        bool_or(updated_at is null and updated_at_stated is not null) as has_unreadable_time
    from subscriptions
    group by customer_key

),

joined as (

    select
        customers.customer_number,

        customers.company,
        customers.email,
        customers.country,
        coalesce(subscriptions_per_customer.status_stated, 'no subscription') as status_stated,
        case when subscriptions_per_customer.customer_key is null then 'inactive' else subscriptions_per_customer.status end as status,

        customers.created_at,
        -- A time that can't be read leaves the latest change unknown.
        coalesce(customers.updated_at_stated, subscriptions_per_customer.updated_at_stated) as updated_at_stated,
        case
            when not coalesce(has_unreadable_time, false) and (customers.updated_at is not null or customers.updated_at_stated is null)
                then greatest(customers.updated_at, subscriptions_per_customer.updated_at)
        end as updated_at
    from customers
    left join subscriptions_per_customer on customers.customer_key = subscriptions_per_customer.customer_key

)

select
    customer_number,

    company,
    email,
    country,
    status_stated,
    status,
    (status is distinct from 'inactive') as is_in_scope,

    created_at,
    updated_at_stated,
    updated_at
from joined
