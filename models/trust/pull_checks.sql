-- Was each side pulled whole? Evidence, not plausibility: none of these can be accepted away.
with

sides as (

    select * from {{ ref('pulled_sides') }}

),

checks as (

    select
        reconciliation, side, 'both_sides_pulled' as check_name,
        tables_pulled as observed,
        tables_needed as expected,
        tables_pulled = tables_needed as passed,
        format('{} of the {} tables needed from {} arrived', tables_pulled, tables_needed, system) as explanation
    from sides
    union all
    select
        reconciliation, side, 'pull_finished',
        tables_ended,
        tables_needed,
        tables_ended = tables_needed,
        coalesce(system || ' was not read to its end: ' || no_end, 'every table of ' || system || ' was read to its end')
    from sides
    union all
    select
        reconciliation, side, 'declared_total_matches',
        fetched_of_declared,
        declared,
        undeclared is null,
        case
            when undeclared is not null then system || ' declared another number of records than were fetched (' || undeclared || ')'
            when tables_declared = 0 then system || ' gave no declared total'
            else format('{} declared {:,} records and {:,} were fetched', system, declared::bigint, fetched_of_declared::bigint)
                || case when tables_declared < tables_needed then '; not every table has a declared total' else '' end
        end
    from sides
    union all
    select
        reconciliation, side, 'landed_equals_fetched',
        landed,
        fetched,
        has_landed,
        format('{:,} records of {} were fetched and {:,} landed', fetched::bigint, system, landed::bigint)
    from sides
    union all
    select
        reconciliation, side, 'no_record_came_twice',
        coalesce(repeated, 0),
        0,
        coalesce(repeated, 0) = 0,
        case
            when repeated is null then system || ' numbers its records in no column of its own'
            else format('{} served {:,} records more than once', system, repeated::bigint)
        end
    from sides
    union all
    select
        reconciliation, side, 'not_empty',
        records,
        1,
        records >= 1,
        format('{} holds {:,} records', system, records::bigint)
    from sides

),

{{ judged_checks('checks', can_be_accepted=false) }}
