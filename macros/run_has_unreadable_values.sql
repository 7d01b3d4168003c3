{# Whether this run read a value that was not what its field is, told before the model that asks is made; true while only compiling. #}
{% macro run_has_unreadable_values(baselines) %}
    {%- if not execute or flags.WHICH not in ('build', 'run') -%} {{ return('true') }} {%- endif -%}
    {{ return(run_query('select coalesce(sum(unreadable), 0) > 0 from ' ~ baselines).rows[0][0] | string | lower) }}
{% endmacro %}
