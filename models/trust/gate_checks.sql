-- Is every gate in force?
with

pairs as (

    select * from {{ ref('pairs') }}

),

-- A gate is a dbt test on trust_checks; one that is missing, switched off or softened to a warning is no gate.
required as (

    select unnest({{ gate_names() }}) as check_name

),

gates as (

    select count(*) as missing, string_agg(required.check_name, ', ' order by required.check_name) as names
    from required
    left join {{ source('pulls', 'gates') }} as gates on required.check_name = gates.check_name
    where gates.is_in_force is not true

),

checks as (

    select
        pairs.reconciliation, 'both' as side, 'every_gate_is_in_force' as check_name,
        gates.missing as observed,
        0 as expected,
        gates.missing = 0 as passed,
        coalesce('no dbt test that can fail stands behind: ' || gates.names, 'every trust check has its dbt test') as explanation
    from pairs
    cross join gates

),

{{ judged_checks('checks', can_be_accepted=false) }}
