{# Whether this snapshot is no run's, but holds the records of a fix plan as they are now. #}
{% macro is_second_look() %}
    {%- if not execute or flags.WHICH not in ('build', 'run') -%} {{ return(false) }} {%- endif -%}
    {{ return(run_query('select count(*) from ' ~ source('pulls', 'asked')).rows[0][0] > 0) }}
{% endmacro %}

{# What reconcile() makes of a pair at a second look: each asked record as both sides state it now, one row a compared field and one
   with the field '' for the record itself. `state` is as in compared_field(). #}
{% macro second_look(reconciliation, left, right, key, fields, scope) -%}
with

asked as (

    select record_key from {{ source('pulls', 'asked') }} where reconciliation = '{{ reconciliation }}'

),

key_map as (

    select {{ normalise_identifier('left_key') }} as left_key, {{ normalise_identifier('right_key') }} as right_key
    from {{ ref('key_map') }}
    where reconciliation = '{{ reconciliation }}'

),

left_side as (

    select coalesce(key_map.right_key, {{ normalise_identifier('side.' ~ key) }}) as record_key, {{ scope }} as counts, side.*
    from {{ left }} as side
    left join key_map on key_map.left_key = {{ normalise_identifier('side.' ~ key) }}

),

right_side as (

    select {{ normalise_identifier('side.' ~ key) }} as record_key, {{ scope }} as counts, side.*
    from {{ right }} as side

),

{% for side in ('left', 'right') -%}
{{ side }}_record as (

    select *, count(*) over (partition by record_key) as copies
    from {{ side }}_side
    where record_key in (select record_key from asked)
    qualify row_number() over (partition by record_key) = 1

),

{{ side }}_text as (

    select
        record_key as asked_key,
        columns(lambda c: c not in ('record_key', 'counts', 'copies', 'is_in_scope', 'updated_at') and not suffix(c, '_stated'))::varchar
    from {{ side }}_record

),

{% endfor -%}
laid_side_by_side as (

    select
        asked.record_key,
        coalesce(left_record.copies, 0) as left_copies,
        coalesce(right_record.copies, 0) as right_copies,
        coalesce(left_record.counts, false) as left_in_scope,
        coalesce(right_record.counts, false) as right_in_scope,
        to_json(left_text)::varchar as left_record,
        to_json(right_text)::varchar as right_record,
        [
            {field: '', left_value: null, right_value: null, state: null}
            {%- for field in fields %},
            {
                field: '{{ field.field }}',
                left_value: left_record.{{ field.stated or field.field }}::varchar,
                right_value: right_record.{{ field.stated or field.field }}::varchar,
                state: {{ agreement('left_record', 'right_record', field) }}
            }
            {%- endfor %}
        ] as compared
    from asked
    left join left_record on left_record.record_key = asked.record_key
    left join left_text on left_text.asked_key = asked.record_key
    left join right_record on right_record.record_key = asked.record_key
    left join right_text on right_text.asked_key = asked.record_key

)

select '{{ reconciliation }}' as reconciliation, '{{ key }}' as key, * exclude (compared), unnest(compared, recursive := true)
from laid_side_by_side
{%- endmacro %}
