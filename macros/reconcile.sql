{#
One pair, laid side by side. Every record of either side lands in exactly one bucket:
    matched, conflict, left_only, right_only, out_of_scope, unreconcilable
Args:
    reconciliation: the pair's name, as in dbt_project.yml.
    left, right:    relations with identical columns: the key, the fields, is_in_scope and updated_at.
    key:            the key's column, compared as `normalise_identifier` (trimmed, upper case).
    fields:         one mapping a compared field: `field`; `normalise` (text, caseless, identifier, exact);
                    and where needed `tolerance` (largest absolute difference that still matches),
                    `stated` (the column that holds the value as the system wrote it; it is what people are shown, and
                    where it holds something while the field is null, the value could not be read and never matches),
                    `same` (another field that must agree before this one can be compared).
    lag_hours:      how long the sync may take.
    scope:          an expression over a side's columns; a record counts while it holds on at least one side.
    value, currency: columns that say what a record is worth.
Rows: one a differing field or one-sided, unreconcilable or watched record; all other records are only counted (`records`).
Cost: both sides are read twice. The first pass hashes the canonical fields and groups by the key's hash: about 100 bytes a key,
spilled to disk past the memory limit. The second reads again only what differs, repeats a key or has an open difference.
#}
{% macro reconcile(reconciliation, left, right, key, fields, lag_hours, scope='is_in_scope', value='null', currency='null') %}
with

comparable_pair as (

    select reconciliation from {{ ref('comparable_pairs') }} where reconciliation = '{{ reconciliation }}'

),

key_map as (

    select {{ normalise_identifier('left_key') }} as left_key, {{ normalise_identifier('right_key') }} as right_key
    from {{ ref('key_map') }}
    where reconciliation = '{{ reconciliation }}'

),

left_side as not materialized (

    select coalesce(key_map.right_key, {{ normalise_identifier('side.' ~ key) }}) as record_key, side.*
    from {{ left }} as side
    left join key_map on key_map.left_key = {{ normalise_identifier('side.' ~ key) }}
    where exists (select 1 from comparable_pair)

),

right_side as not materialized (

    select {{ normalise_identifier('side.' ~ key) }} as record_key, side.*
    from {{ right }} as side
    where exists (select 1 from comparable_pair)

),

{{ settled_keys(reconciliation, fields, scope) }},

{{ records_read_again(scope, value, currency) }},

{{ laid_side_by_side(fields) }},

unreconcilable as (

    {{ unreconcilable_records('left', key, fields) }}
    union all
    {{ unreconcilable_records('right', key, fields) }}

),

only_counted as (

    select case when is_in_scope then 'matched' else 'out_of_scope' end as bucket, keys as records
    from settled
    where key_hash is null

),

buckets as (

    select
        bucket, record_key, in_left, in_right, 1 as records,
        compared.field, compared.left_value, compared.right_value, compared.state,
        left_updated_at, right_updated_at, value_at_risk, currency, null as reason, null as record
    from read_again
    union all by name
    select 'unreconcilable' as bucket, record_key, in_left, in_right, 1 as records, '' as field, reason, record
    from unreconcilable
    union all by name
    select bucket, true as in_left, true as in_right, records, '' as field
    from only_counted

)

select
    '{{ reconciliation }}' as reconciliation,
    bucket::varchar as bucket,
    record_key::varchar as record_key,
    in_left,
    in_right,
    records::bigint as records,
    field::varchar as field,
    state::varchar as state,
    left_value::varchar as left_value,
    right_value::varchar as right_value,
    left_updated_at::timestamptz as left_updated_at,
    right_updated_at::timestamptz as right_updated_at,
    value_at_risk::decimal(38, 8) as value_at_risk,
    currency::varchar as currency,
    reason::varchar as reason,
    record::varchar as record,
    {{ lag_hours }}::double as lag_hours
from buckets
{% endmacro %}
