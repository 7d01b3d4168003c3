-- One row a run and breaker: what would stop the run's fixes, and whether it did. A wave or an unusual number is let through by a person,
-- for the next run alone and for no more than was accepted; a cap is raised in its policy row.
with

this_run as (

    select run_id, run_seq from {{ ref('this_run') }}

),

earlier as (

    select * from {{ source('published_marts', 'fix_breakers') }}
    where run_id not in (select run_id from this_run)

),

run_before as (

    select max_by(run_id, run_seq) as run_id
    from {{ source('published_marts', 'runs') }}
    where run_seq < (select run_seq from this_run)

),

acceptances as (

    select
        coalesce(reconciliation, '') as reconciliation, check_name,
        max(observed) as observed, max_by(accepted_by, accepted_at) as accepted_by, max_by(reason, accepted_at) as reason
    from {{ ref('accepted_counts') }}
    where run_id in (select run_id from run_before)
    group by all

),

now_judged as (

    select
        this_run.run_id,
        breakers.* exclude (explanation),
        breakers.observed > breakers.most is not false and acceptances.accepted_by is null as tripped,
        acceptances.accepted_by,
        breakers.explanation
        || coalesce(' (accepted by ' || acceptances.accepted_by || ': ' || acceptances.reason || ')', '') as explanation
    from {{ ref('breakers') }} as breakers
    cross join this_run
    left join acceptances
        on breakers.can_be_accepted
        and breakers.observed > breakers.most
        and acceptances.reconciliation = breakers.reconciliation
        and acceptances.check_name = breakers.breaker
        and breakers.observed <= acceptances.observed

)

select run_id, reconciliation, policy, breaker, observed, most, tripped, can_be_accepted, accepted_by, explanation from earlier
union all
select run_id, reconciliation, policy, breaker, observed, most, tripped, can_be_accepted, accepted_by, explanation from now_judged
