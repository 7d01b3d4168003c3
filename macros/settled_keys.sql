{# First pass of reconcile(): hash the fields, group by the key's hash, and settle what agrees. #}
{% macro settled_keys(reconciliation, fields, scope) -%}
-- mask: 1 in left, 2 in right, 4 in scope, 8 changed since the last trusted run, 16 tells when it changed
stacked as (

    select *, 1 + case when {{ scope }} then 4 else 0 end as mask from left_side
    union all by name
    select *, 2 + case when {{ scope }} then 4 else 0 end as mask from right_side

),

fingerprints as (

    select
        hash(coalesce(record_key, '')) as key_hash,
        (mask + case
            when not exists (select 1 from last_trusted) then 16
            when updated_at is null then 0
            when updated_at > (select touched_since from last_trusted) then 24
            else 16
        end)::utinyint as mask,
        case
            when record_key is not null
                {%- for field in fields if field.stated %} and not {{ unreadable('stacked', field) }}{% endfor %}
                then {{ row_hash(fields) }}
        end as row_hash
    from stacked

),

keys as (

    select key_hash, bit_or(mask) as mask, count(*) as records, bit_xor(row_hash) as row_hashes
    from fingerprints
    group by key_hash

),

watched as (

    select distinct hash(record_key) as key_hash
    from {{ source('published_marts', 'discrepancy_history') }}
    where reconciliation = '{{ reconciliation }}' and resolved_at is null

),

-- Two records, one a side, with equal hashes: settled, and only counted. All others keep their key and are read again,
-- and so do those that changed since the last trusted run, or tell no time on either side: what both agreed on then is remembered.
settled as materialized (

    select
        case
            when records = 2 and mask & 27 = 19 and row_hashes = 0 and key_hash not in (select key_hash from watched) then null
            else key_hash
        end as key_hash,
        mask & 4 = 4 as is_in_scope,
        count(*) as keys
    from keys
    group by all

),

-- Null is the settled ones' key_hash, and equal to none: a filter here would be pushed down, and asked of every key.
unsettled as (

    select key_hash from settled

)
{%- endmacro %}

{# Equal hashes mean equal as compared; others mean nothing yet, for such records are read again. So most, which begin and end no field in a
   blank, are hashed as they are: to trim all would cost twice as much. #}
{% macro row_hash(fields) -%}
    {%- set texts = fields | rejectattr('normalise', 'equalto', 'exact') | list -%}
    {%- if texts -%}
    case when {% for field in texts %}{{ has_blank_end(field.field) }}{{ ' or ' if not loop.last }}{% endfor %}
        then {{ hashed(fields, untrimmed=false) }}
        else {{ hashed(fields, untrimmed=true) }}
    end
    {%- else -%} {{ hashed(fields, untrimmed=true) }}
    {%- endif -%}
{%- endmacro %}

{% macro hashed(fields, untrimmed) -%}
    hash({% for field in fields %}{{ normalised(field.field, field.normalise, untrimmed) }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}
