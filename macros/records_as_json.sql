{# Both sides' records of a pair's quarantined keys, whole. One scan of each side; DuckDB leaves it out where nothing is quarantined. #}
{% macro records_as_json(reconciliation, left, right, key) -%}
{%- set quarantined = "(select record_key from " ~ ref('discrepancies') ~ " where status = 'quarantined' and reconciliation = '" ~ reconciliation ~ "')" -%}
{%- set own_key = normalise_identifier('side.' ~ key) -%}
{%- set left_key = "coalesce(" ~ normalise_identifier('key_map.right_key') ~ ", " ~ own_key ~ ")" -%}
select
    '{{ reconciliation }}' as reconciliation, record_key,
    any_value(left_record) as left_record, any_value(right_record) as right_record
from (
    select {{ left_key }} as record_key, to_json(side)::varchar as left_record, null as right_record
    from {{ left }} as side
    left join {{ ref('key_map') }} as key_map
        on key_map.reconciliation = '{{ reconciliation }}'
        and {{ normalise_identifier('key_map.left_key') }} = {{ own_key }}
    where {{ left_key }} in {{ quarantined }}
    union all
    select {{ own_key }}, null, to_json(side)::varchar
    from {{ right }} as side
    where {{ own_key }} in {{ quarantined }}
)
group by all
{%- endmacro %}
