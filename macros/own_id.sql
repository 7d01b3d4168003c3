{# A system's own id of a row, as its API gives it; an export has none. #}
{% macro own_id(system, table) -%}
    {%- set columns = run_query(columns_of(source(system, table))) if execute and flags.WHICH in ('build', 'run') else none -%}
    {{ 'id' if columns and 'id' in columns.columns[0].values() else 'null' }}::varchar
{%- endmacro %}
