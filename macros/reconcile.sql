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
    status:         the field that holds a mapped status word: what can't be read there is a word nobody mapped.
    value, currency: columns that say what a record is worth.
    created:        the column that says when a record was made.
    email, name:    columns by which a record that stands on one side alone may be known on the other under another key.
Rows: one a differing field or one-sided, unreconcilable or watched record; all other records are only counted (`records`).
Cost: both sides are read twice. The first pass hashes the fields and groups by the key's hash: about 100 bytes a key, spilled to disk
past the memory limit. The second reads again only what differs, repeats a key, has an open difference, ends a field in a rare blank or
changed since the last trusted run, and beside it what that run saw of the same keys. Before fixes are written it looks a second time at
their records alone: second_look().
#}
{% macro reconcile(
    reconciliation, left, right, key, fields, lag_hours,
    scope='is_in_scope', status='status', value='null', currency='null', created='null', email='null', name='null'
) %}
{%- if is_second_look() -%} {{ return(second_look(reconciliation, left, right, key, fields, scope)) }} {%- endif %}
{%- set columns = {'value': value, 'currency': currency, 'created_at': created, 'email': email, 'name': name} %}
{%- set run_before, left_before, right_before = before(reconciliation, [ref('this_run'), left, right]) %}
with

comparable_pair as (

    select reconciliation from {{ ref('comparable_pairs') }} where reconciliation = '{{ reconciliation }}'

),

last_trusted as (

    select as_of, as_of - to_seconds({{ lag_hours * 3600 }}) as touched_since from {{ run_before }}

),

key_map as (

    select {{ normalise_identifier('left_key') }} as left_key, {{ normalise_identifier('right_key') }} as right_key
    from {{ ref('key_map') }}
    where reconciliation = '{{ reconciliation }}'

),

left_side as not materialized (

    {{ keyed_by_right(left, key) }}

),

right_side as not materialized (

    {{ keyed(right, key) }}

),

left_side_before as not materialized (

    {{ keyed_by_right(left_before, key) }}

),

right_side_before as not materialized (

    {{ keyed(right_before, key) }}

),

{{ settled_keys(reconciliation, fields, scope) }},

{{ records_read_again(scope, columns) }},

{{ laid_side_by_side(fields, slices_of(reconciliation)) }},

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
        * exclude (compared, stated_email, stated_name),
        case when compared.field != '' and compared.state = 'agrees' then 0 else 1 end as records,
        case when bucket in ('left_only', 'right_only') then stated_email end as match_email,
        case when bucket in ('left_only', 'right_only') then stated_name end as match_name,
        unnest(compared)
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
    {% for name, type in comparison_columns().items() -%}
    {{ name }}::{{ type }} as {{ name }},
    {% endfor -%}
    (field = '{{ status }}') as is_status,
    (field = '{{ value }}') as is_value,
    {{ lag_hours }}::double as lag_hours
from buckets
{% endmacro %}

{% macro keyed(side, key) -%}
    select {{ normalise_identifier('side.' ~ key) }} as record_key, side.*
    from {{ side }} as side
    where exists (select 1 from comparable_pair)
{%- endmacro %}

{# The crosswalk says which left key is which right key. #}
{% macro keyed_by_right(side, key) -%}
    select coalesce(key_map.right_key, {{ normalise_identifier('side.' ~ key) }}) as record_key, side.*
    from {{ side }} as side
    left join key_map on key_map.left_key = {{ normalise_identifier('side.' ~ key) }}
    where exists (select 1 from comparable_pair)
{%- endmacro %}
