{# A run builds into new files, so nothing old is kept under another name while the new is made, as dbt's own
   materialisations do: that takes them half of a small run. #}
{% macro built_anew(relation, create) %}
    {{ drop_relation_if_exists(load_cached_relation(this)) }}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') %}{{ create }}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [relation]}) }}
{% endmacro %}

{% materialization table, adapter='duckdb' %}
    {% set relation = this.incorporate(type='table') %}
    {{ return(built_anew(relation, create_table_as(false, relation, compiled_code))) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {% set relation = this.incorporate(type='view') %}
    {{ return(built_anew(relation, create_view_as(relation, compiled_code))) }}
{% endmaterialization %}
