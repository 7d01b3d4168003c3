-- One row a trusted run, difference and what happened to it that its owner wants to know, or that takes it off the list (accepted). It is
-- what messages tell, and its own memory: what was told before decides what is news. Reads all of it once a run, a row or two a difference.
{%- set least_rise = 1.1 %}
with

this_run as (

    select run_id, run_seq, as_of from {{ ref('this_run') }}

),

earlier as (

    select * from {{ source('published_marts', 'discrepancy_events') }}
    where run_id not in (select run_id from this_run)

),

told_before as (

    select
        discrepancy_id,
        max_by(event, run_seq) filter (event in ('new', 'reopened', 'accepted')) as listing,
        max(run_seq) filter (event in ('new', 'reopened', 'accepted')) as listing_seq,
        max(run_seq) filter (event = 'overdue') as overdue_seq,
        max_by({'value': value_at_risk, 'currency': currency}, run_seq) as worth
    from earlier
    group by discrepancy_id

),

-- What a person has on the desk. Under an untrusted run nothing happens.
current_ones as (

    select
        discrepancies.*,
        discrepancies.status in ('open', 'quarantined') as is_listed,
        is_listed and (discrepancies.listed_in_run = this_run.run_id or told_before.listing = 'accepted') is true as is_back_or_new,
        told_before.* exclude (discrepancy_id)
    from {{ ref('discrepancies') }} as discrepancies
    cross join this_run
    inner join {{ ref('verdicts') }} as verdicts
        on verdicts.reconciliation = discrepancies.reconciliation and verdicts.verdict = 'trusted'
    left join told_before on told_before.discrepancy_id = discrepancies.discrepancy_id

),

tonight as (

    select
        this_run.*,
        discrepancy_id, reconciliation, value_at_risk, currency,
        unnest(list_filter([
            case when status = 'accepted' and listing is distinct from 'accepted' then 'accepted' end,
            case when is_back_or_new then case when listing = 'accepted' or times_reopened > 0 then 'reopened' else 'new' end end,
            -- Held against what was told last, so that what creeps is told as well, and less than a tenth never is.
            case
                when
                    is_listed and not is_back_or_new
                    and currency = worth['currency']
                    and value_at_risk > worth['value'] and value_at_risk >= {{ least_rise }} * worth['value']
                    then 'worsened'
            end,
            case when is_overdue and (is_back_or_new or overdue_seq is null or overdue_seq < listing_seq) then 'overdue' end
        ], lambda happened: happened is not null)) as event
    from current_ones
    cross join this_run

)

select run_id, run_seq, as_of, discrepancy_id, reconciliation, event, value_at_risk, currency from earlier
union all
select run_id, run_seq, as_of, discrepancy_id, reconciliation, event, value_at_risk, currency from tonight
