{# Both sides' records of a pair's quarantined keys, whole. One scan of each side, where anything is quarantined. #}
{% macro records_as_json(reconciliation, left, right, key) -%}
{%- set quarantined = "(select record_key from " ~ ref('discrepancies') ~ " where status = 'quarantined' and reconciliation = '" ~ reconciliation ~ "')" -%}
{%- set left_key = "coalesce(" ~ normalise_identifier('key_map.right_key') ~ ", " ~ normalise_identifier('side.' ~ key) ~ ")" -%}
select
    '{{ reconciliation }}' as reconciliation, record_key,
    any_value(left_record) as left_record, any_value(right_record) as right_record
from (
    select {{ left_key }} as record_key, to_json(side)::varchar as left_record, null as right_record
    from {{ left }} as side
    left join {{ ref('key_map') }} as key_map
        on key_map.reconciliation = '{{ reconciliation }}'
        and {{ normalise_identifier('key_map.left_key') }} = {{ normalise_identifier('side.' ~ key) }}
    where {{ is_any(quarantined) }} and {{ left_key }} in {{ quarantined }}
    union all
    select {{ normalise_identifier('side.' ~ key) }}, null, to_json(side)::varchar
    from {{ right }} as side
    where {{ is_any(quarantined) }} and {{ normalise_identifier('side.' ~ key) }} in {{ quarantined }}
)
group by all
{%- endmacro %}

{# Told before the model that asks is made; true while only compiling. #}
{% macro is_any(relation) %}
    {%- if not execute or flags.WHICH not in ('build', 'run') -%} {{ return('true') }} {%- endif -%}
    {{ return(run_query('select count(*) > 0 from ' ~ relation).rows[0][0] | string | lower) }}
{% endmacro %}
