-- Was each side pulled whole? Evidence, not plausibility: none of these can be accepted away.
with

-- What is asked for its total before and after may change a little in between, and then lies between the two. Null: it has no total;
-- who says how it is declared and then gives none did not declare what was fetched.
tables as (

    select
        pulled_tables.*,
        least(declared_total, declared_after) as least_declared,
        greatest(declared_total, declared_after) as most_declared,
        case
            when declared_total is not null or declared_by is not null then coalesce(
                fetched between least_declared and most_declared
                and most_declared - least_declared <= most_change_while_pulled * most_declared, false
            )
        end as is_as_declared
    from {{ ref('pulled_tables') }} as pulled_tables
    inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = pulled_tables.reconciliation

),

sides as (

    select
        reconciliation, side, system,
        count(*) as tables_needed,
        count(*) filter (was_pulled) as tables_pulled,
        count(*) filter (end_seen) as tables_ended,
        string_agg(table_name || ': ' || coalesce(end_evidence, 'not pulled'), '; ') filter (end_seen is not true) as no_end,
        count(declared_total) as tables_declared,
        sum(declared_total) as declared,
        sum(fetched) filter (declared_total is not null) as fetched_of_declared,
        string_agg(
            format('{}: {} declared, {:,} fetched', table_name, coalesce(format('{:,}', declared_total), 'no total'), fetched)
            || coalesce(format(', {:,} declared afterwards', declared_after), ''), '; '
        ) filter (not is_as_declared) as undeclared,
        sum(fetched) as fetched,
        sum(landed) as landed,
        sum(landed - distinct_ids) as repeated,
        bool_and(fetched is not distinct from landed) as has_landed,
        sum(landed) filter (holds_the_records) as records
    from tables
    group by all

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
