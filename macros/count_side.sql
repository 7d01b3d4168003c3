{# How many records a side holds and how many of them have a value, column by column. One scan of the side. #}
{% macro count_side(reconciliation, side, relation) -%}
select '{{ reconciliation }}' as reconciliation, '{{ side }}' as side, records, records_in_scope, column_name, records_with_value
from (
    unpivot (
        select count(*) as records, coalesce(count_if(is_in_scope), 0)::bigint as records_in_scope, count(columns(* exclude (is_in_scope)))
        from {{ relation }}
    ) on columns(* exclude (records, records_in_scope)) into name column_name value records_with_value
)
{%- endmacro %}
