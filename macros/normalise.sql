{# Text as it is compared. `normalise` names one of these in a pair's model. #}

{# Unicode White_Space and the zero-width characters, by code point, because they cannot be seen. #}
{% macro blank_characters() -%} [\x{9}-\x{D}\x{85}\p{Z}\x{180E}\x{200B}-\x{200F}\x{2060}\x{FEFF}] {%- endmacro %}

{# Blank is null. Most text is plain ASCII with nothing to trim: testing that first is four times as fast as trimming. #}
{% macro trimmed(value) -%}
    {%- set text = 'cast(' ~ value ~ ' as varchar)' -%}
    (case
        when strlen({{ text }}) = length({{ text }}) and {{ text }} >= '!' and ({{ text }})[-1] >= '!' then {{ text }}
        else nullif(regexp_replace({{ text }}, '^{{ blank_characters() }}+|{{ blank_characters() }}+$', '', 'g'), '')
    end)
{%- endmacro %}

{% macro normalise_text(value) -%} {{ trimmed(value) }} {%- endmacro %}
{% macro normalise_caseless(value) -%} lower({{ trimmed(value) }}) {%- endmacro %}
{% macro normalise_identifier(value) -%} upper({{ trimmed(value) }}) {%- endmacro %}
{% macro normalise_exact(value) -%} {{ value }} {%- endmacro %}

{% macro normalised(value, normalise) -%}
    {%- if normalise == 'text' -%} {{ normalise_text(value) }}
    {%- elif normalise == 'caseless' -%} {{ normalise_caseless(value) }}
    {%- elif normalise == 'identifier' -%} {{ normalise_identifier(value) }}
    {%- elif normalise == 'exact' -%} {{ normalise_exact(value) }}
    {%- else -%} {{ exceptions.raise_compiler_error("normalise must be text, caseless, identifier or exact, not '" ~ normalise ~ "'") }}
    {%- endif -%}
{%- endmacro %}

{# Typed or null: what arrived as text is parsed, what arrived typed stays. Naive times are UTC. #}
{% macro parsed(value, data_type) -%} try_cast({{ trimmed(value) }} as {{ data_type }}) {%- endmacro %}
