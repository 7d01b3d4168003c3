{# UTC for every cast; no file, no network, no extension from here on. How tables are packed stays a model's own to say. #}
{% macro lock_engine() %}
{% if flags.WHICH in ('build', 'run') %}
    set global TimeZone = 'UTC';
    set global enable_external_access = false;
    set global allowed_configs = ['force_compression'];
    set global lock_configuration = true;
{% endif %}
{% endmacro %}
