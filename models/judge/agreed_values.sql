-- What both sides once agreed on and then changed, one row a value that was left behind. What they agree on now is in the last trusted
-- snapshot: only what changed is stored. `led_by` is the side that changed first; null where the records' times don't tell.
{{ config(contract={'enforced': true}) }}

with

trusted as (

    select reconciliation from {{ ref('verdicts') }} where verdict = 'trusted'

),

agreeing as (

    select
        comparisons.*,
        count(*) over (partition by reconciliation, record_key) = 1 as is_only_change
    from {{ ref('comparisons') }} as comparisons
    semi join trusted on trusted.reconciliation = comparisons.reconciliation
    where comparisons.field != ''
    qualify comparisons.state = 'agrees'

),

was_open as (

    select * from {{ source('published_marts', 'discrepancy_history') }} where resolved_at is null and bucket = 'conflict'

),

changed_alike as (

    select
        reconciliation, record_key, field,
        left_before as value,
        left_value_before as shown_value,
        before_as_of as agreed_until,
        case
            when left_updated_at is null or right_updated_at is null or least(left_updated_at, right_updated_at) <= before_as_of then null
            when not is_only_change then null   -- a record's time is of its last change, which may be another's
            when left_updated_at < right_updated_at then 'left'
            when right_updated_at < left_updated_at then 'right'
        end as led_by
    from agreeing
    where state_before = 'agrees'

),

followed as (

    select
        agreeing.reconciliation, agreeing.record_key, agreeing.field,
        was_open.left_base as value,
        was_open.base_value as shown_value,
        was_open.agreed_at as agreed_until,
        (was_open.left_compared is distinct from was_open.left_base) as left_moved,
        (was_open.right_compared is distinct from was_open.right_base) as right_moved,
        case when left_moved and not right_moved then 'left' when right_moved and not left_moved then 'right' end as led_by
    from agreeing
    inner join was_open
        on was_open.reconciliation = agreeing.reconciliation
        and was_open.record_key = agreeing.record_key
        and was_open.field = agreeing.field
    where was_open.agreed_at is not null and agreeing.left_compared is distinct from was_open.left_base

),

earlier as (

    select * from {{ source('published_judge', 'agreed_values') }}

),

now_left_behind as (

    select * from changed_alike
    union all by name
    select * exclude (left_moved, right_moved) from followed

)

select reconciliation, record_key, field, value, shown_value, agreed_until, led_by, run_id from earlier
union all
select reconciliation, record_key, field, value, shown_value, agreed_until, led_by, this_run.run_id
from now_left_behind
cross join {{ ref('this_run') }} as this_run
