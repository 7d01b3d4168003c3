{# UTC for every cast; no file, no network, no extension from here on. #}
{% macro lock_engine() %}
{% if flags.WHICH in ('build', 'run') %}
    set global TimeZone = 'UTC';
    set global enable_external_access = false;
    set global lock_configuration = true;
{% endif %}
{% endmacro %}
