{# A system's table in the columns of its export: as it landed, or as the staging model of the connector that pulled it makes it.
   `by_connector` maps connectors to those models; which one it was, the pull says. #}
{% macro as_exported(system, table, by_connector) %}
    {%- set landed = source(system, table) -%}
    {%- if not execute or flags.WHICH not in ('build', 'run') -%} {{ return(landed) }} {%- endif -%}
    {%- set query = "select any_value(connector) from " ~ source('pulls', 'tables') ~ " where system = '" ~ system ~ "'" -%}
    {{ return(by_connector.get(run_query(query).rows[0][0], landed)) }}
{% endmacro %}
