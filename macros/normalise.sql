{# Text as it is compared: normalised(), by what a pair's model says under `normalise`. #}

{# Unicode White_Space and the zero-width characters, by code point, because they cannot be seen. #}
{% macro blank_characters() -%} [\x{9}-\x{D}\x{85}\p{Z}\x{180E}\x{200B}-\x{200F}\x{2060}\x{FEFF}] {%- endmacro %}

{# Blank is null. Most text has nothing to trim, and testing that first is six times as fast as trimming: plain ASCII by its bytes, all else
   by its first and last character. #}
{% macro trimmed(value) -%}
    {%- set text = 'cast(' ~ value ~ ' as varchar)' -%}
    (case
        when strlen({{ text }}) = length({{ text }}) and {{ text }} >= '!'
            {%- for blank in (32, 9, 10, 11, 12, 13) %} and not suffix({{ text }}, chr({{ blank }})){% endfor %} then {{ text }}
        when {{ text }} between '!' and '~' and ({{ text }})[-1] between '!' and '~' then {{ text }}
        else nullif(regexp_replace({{ text }}, '^{{ blank_characters() }}+|{{ blank_characters() }}+$', '', 'g'), '')
    end)
{%- endmacro %}

{% macro normalise_caseless(value) -%} {{ normalised(value, 'caseless') }} {%- endmacro %}
{% macro normalise_identifier(value) -%} {{ normalised(value, 'identifier') }} {%- endmacro %}
{# An address as its owner may write it elsewhere: caseless, without what follows a +. What has no @ is none. #}
{% macro normalise_email(value) -%}
    nullif(regexp_replace(regexp_extract({{ normalise_caseless(value) }}, '^[^@+\s][^@\s]*@[^@\s]+$'), '[+][^@]*@', '@'), '')
{%- endmacro %}

{# `untrimmed` for text that is known to need no trimming. #}
{% macro normalised(value, normalise, untrimmed=false) -%}
    {%- set text = 'cast(' ~ value ~ ' as varchar)' if untrimmed else trimmed(value) -%}
    {%- if normalise == 'text' -%} {{ text }}
    {%- elif normalise == 'caseless' -%} lower({{ text }})
    {%- elif normalise == 'identifier' -%} upper({{ text }})
    {%- elif normalise == 'exact' -%} {{ value }}
    {%- else -%} {{ exceptions.raise_compiler_error("normalise must be text, caseless, identifier or exact, not '" ~ normalise ~ "'") }}
    {%- endif -%}
{%- endmacro %}

{# Whether text begins or ends in a blank that people or exports leave there: true, false or null, and true of empty text. The rarer ones
   are not looked for, which makes it cheap. #}
{% macro has_blank_end(value) -%}
    {%- set text = 'cast(' ~ value ~ ' as varchar)' -%}
    {{ text }} < '!' {%- for blank in (32, 9, 10, 13) %} or suffix({{ text }}, chr({{ blank }})){% endfor %}
{%- endmacro %}

{# A plain decimal number that fits exactly, or null: no exponent, no separator but the point, nothing to round. #}
{% macro parsed_number(value, whole_digits, decimals) -%}
    case
        when regexp_full_match({{ trimmed(value) }}, '[+-]?([0-9]{1,{{ whole_digits }}}([.][0-9]{0,{{ decimals }}}0*)?|[.][0-9]{1,{{ decimals }}}0*)')
            then try_cast({{ trimmed(value) }} as decimal({{ whole_digits + decimals }}, {{ decimals }}))
    end
{%- endmacro %}

{# An ISO 8601 date or time that exists, or null; without a zone it is UTC. #}
{% macro parsed_time(value) -%}
    case
        when regexp_full_match({{ trimmed(value) }}, '\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.]\d{1,9})?(Z|[+-]\d\d(:?\d\d)?)?)?)?')
            then try_cast({{ trimmed(value) }} as timestamptz)
        when regexp_full_match({{ trimmed(value) }}, '\d{4}-\d\d-\d\d[ T]\d\d:\d\d(Z|[+-]\d\d(:?\d\d)?)')
            then try_cast(left({{ trimmed(value) }}, 16) || ':00' || ({{ trimmed(value) }})[17:] as timestamptz)
    end
{%- endmacro %}

{# Seconds since 1970, as text, as ISO 8601; what is no such number stays as it is, to be told. #}
{% macro epoch_as_iso(value) -%}
    coalesce(strftime(make_timestamp(try_cast({{ value }} as bigint) * 1000000), '%Y-%m-%dT%H:%M:%SZ'), {{ value }})
{%- endmacro %}

{# JSON may write a number as 1.5E7: the same number in plain digits, exactly; any other text stays as it is, to be told. #}
{% macro without_exponent(value) -%}
    case
        when regexp_full_match({{ value }}, '-?[0-9]{1,17}([.][0-9]{1,17})?[eE][+]?[0-9]{1,2}')
            then coalesce(rtrim(rtrim(try_cast({{ value }} as decimal(38, 18))::varchar, '0'), '.'), {{ value }})
        else {{ value }}
    end
{%- endmacro %}
