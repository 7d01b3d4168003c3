{# Both sides' records of the quarantined keys of a pair, whole. One scan of each side, where anything is quarantined. #}
{% macro records_as_json(reconciliation, left, right, key) -%}
select '{{ reconciliation }}' as reconciliation, wanted.record_key, any_value(left_record) as left_record, any_value(right_record) as right_record
from (select distinct record_key from quarantined where reconciliation = '{{ reconciliation }}') as wanted
inner join (
    select coalesce({{ normalise_identifier('key_map.right_key') }}, {{ normalise_identifier('side.' ~ key) }}) as record_key,
        to_json(side)::varchar as left_record, null as right_record
    from {{ left }} as side
    left join {{ ref('key_map') }} as key_map
        on key_map.reconciliation = '{{ reconciliation }}'
        and {{ normalise_identifier('key_map.left_key') }} = {{ normalise_identifier('side.' ~ key) }}
    where {{ is_any_quarantined(reconciliation) }}
    union all
    select {{ normalise_identifier('side.' ~ key) }}, null, to_json(side)::varchar
    from {{ right }} as side
    where {{ is_any_quarantined(reconciliation) }}
) as records on records.record_key = wanted.record_key
group by all
{%- endmacro %}

{# Told before the model that asks is made; true while only compiling. #}
{% macro is_any_quarantined(reconciliation) %}
    {%- if not execute or flags.WHICH not in ('build', 'run') -%} {{ return('true') }} {%- endif -%}
    {%- set found = run_query("select count(*) > 0 from " ~ ref('discrepancies') ~ " where status = 'quarantined' and reconciliation = '" ~ reconciliation ~ "'") -%}
    {{ return(found.rows[0][0] | string | lower) }}
{% endmacro %}
