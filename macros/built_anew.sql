{# A run builds into new files that are thrown away where it fails, so nothing old is kept under another name while the new is made, and
   nothing is done in transactions, as dbt's own materialisations do: that takes them half of a small run. #}
{% macro built_anew(relation, create) %}
    {{ drop_relation_if_exists(load_cached_relation(this)) }}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main', auto_begin=False) %}{{ create }}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [relation]}) }}
{% endmacro %}

{% materialization table, adapter='duckdb' %}
    {% set relation = this.incorporate(type='table') %}
    {% set create = create_table_as(false, relation, compiled_code) %}
    {{ return(built_anew(relation, create if config.get('meta', {}).get('is_packed', true) else unpacked(create))) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {% set relation = this.incorporate(type='view') %}
    {{ return(built_anew(relation, create_view_as(relation, compiled_code))) }}
{% endmaterialization %}

{% materialization test, adapter='duckdb' %}
    {% call statement('main', fetch_result=true, auto_begin=False) %}
        {{ get_test_sql(sql, config.get('fail_calc'), config.get('warn_if'), config.get('error_if'), config.get('limit')) }}
    {% endcall %}
    {{ return({'relations': []}) }}
{% endmaterialization %}

{% macro duckdb__create_schema(relation) %}
    {% call statement('create_schema', auto_begin=False) %}create schema if not exists {{ relation.without_identifier() }}{% endcall %}
{% endmacro %}

{% macro unpacked(create) -%}
    set force_compression = 'uncompressed';
    {{ create }};
    set force_compression = 'auto';
{%- endmacro %}
