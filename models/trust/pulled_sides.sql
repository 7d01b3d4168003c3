-- One row a pair and side: the evidence of its tables, added up.
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

)

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
