{# What a difference's cause can be; docs/judgement.md has the table. #}
{% macro causes() %}
    {{ return([
        'created here, never arrived there',
        'removed or ended there, still here',
        'changed here, never arrived there',
        'changed on both sides',
        'an older value overwrote a newer one',
        'agreed before, gone now',
        'one record under two keys',
        'a status word nobody mapped',
        'unknown',
    ]) }}
{% endmacro %}
