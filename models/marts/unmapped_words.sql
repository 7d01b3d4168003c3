-- One row a status word of this run that seeds/status_map.csv does not know. Where every value could be read nothing is scanned again.
{%- set is_needed = run_has_unreadable_values(ref('baselines')) %}

with

crm_customers as (

    select 'crm' as system, 'customers' as table_name, status_stated, status from {{ ref('stg_crm__customers') }}

),

crm_deals as (

    select 'crm' as system, 'deals' as table_name, status_stated, status from {{ ref('stg_crm__deals') }}

),

billing_subscriptions as (

    select 'billing' as system, 'subscriptions' as table_name, status_stated, status from {{ ref('stg_billing__subscriptions') }}

),

stated as (

    select * from crm_customers
    union all
    select * from crm_deals
    union all
    select * from billing_subscriptions

)

select this_run.run_id, stated.system, stated.table_name, stated.status_stated as word, count(*) as records
from stated
cross join {{ ref('this_run') }} as this_run
where {{ is_needed }} and stated.status is null and stated.status_stated is not null
group by all
