-- One row a pair: how long the sync took with what one night caught under way and a later one saw arrived, and what that says of the
-- configured lag.
{%- set least_arrivals, most_late, least_for_too_long, most_times_the_lag = 20, 0.05, 50, 3 %}
with

history as (

    select *, date_diff('second', out_of_step_since, arrived_at) / 3600.0 as hours
    from {{ ref('discrepancy_history') }}

),

compared as (

    select reconciliation, any_value(lag_hours) as lag_hours from {{ ref('comparisons') }} group by all

),

-- As tonight's comparison has it; of a pair that was not compared, as its differences were last judged.
configured as (

    select
        pairs.reconciliation,
        coalesce(any_value(compared.lag_hours), arg_max(history.lag_hours, history.last_seen_at)) as configured_hours
    from {{ ref('pairs') }} as pairs
    left join history on history.reconciliation = pairs.reconciliation
    left join compared on compared.reconciliation = pairs.reconciliation
    group by all

),

-- Only what began at a time that the system itself told. What came days after its lag was brought by somebody, not by the sync.
arrivals as (

    select
        configured.reconciliation,
        configured.configured_hours,
        history.hours as hours_until_gone,
        case when hours_until_gone <= {{ most_times_the_lag }} * configured.configured_hours then hours_until_gone end as hours
    from configured
    left join history
        on history.reconciliation = configured.reconciliation
        and history.resolution = 'both sides agree'
        and history.is_since_exact
        and history.arrived_at >= history.out_of_step_since

),

arrived as (

    select
        reconciliation,
        configured_hours,
        count(hours) as arrivals,
        count(*) filter (hours > configured_hours) as late,
        count(hours_until_gone) - count(hours) as mended,
        round(median(hours), 2) as median_hours,
        round(quantile_cont(hours, 0.9), 2) as p90_hours,
        round(quantile_cont(hours, 0.99), 2) as p99_hours,
        round(max(hours), 2) as longest_hours
    from arrivals
    group by all

),

advised as (

    select
        *,
        case
            when arrivals < {{ least_arrivals }} then 'not enough arrivals yet'
            when late > {{ most_late }} * arrivals then 'too short'
            when arrivals >= {{ least_for_too_long }} and p99_hours < configured_hours / 2 then 'too long'
            else 'as configured'
        end as advice
    from arrived

)

select
    reconciliation, arrivals, mended, median_hours, p90_hours, p99_hours, longest_hours, configured_hours, advice,
    case
        when advice = 'not enough arrivals yet' then format('{} of at least {{ least_arrivals }} arrivals seen', arrivals)
        else format(
            '{} of {} arrivals ({:.1f} %) took longer than the {:g} h of lag_hours; half took at most {:.1f} h, 99 % at most {:.1f} h',
            late, arrivals, 100.0 * late / arrivals, configured_hours, median_hours, p99_hours
        )
    end
    || case when mended > 0 then format('; {} more came after {{ most_times_the_lag }} times that, as what was mended', mended) else '' end
        as explanation
from advised
