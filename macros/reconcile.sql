{#
One pair, laid side by side. Every record of either side lands in exactly one bucket:
    matched, conflict, left_only, right_only, out_of_scope, unreconcilable
Args:
    reconciliation: the pair's name, as in dbt_project.yml.
    left, right:    relations with identical columns: the key, the fields, is_in_scope and updated_at.
    key:            the key's column, compared as `normalise_identifier` (trimmed, upper case).
    fields:         one mapping a compared field: `field`; `normalise` (text, caseless, identifier, exact);
                    and where needed `tolerance` (largest absolute difference that still matches),
                    `stated` (the column that holds the value as the system wrote it; it is what people are shown, and
                    where it holds something while the field is null, the value could not be read and never matches),
                    `same` (another field that must agree before this one can be compared).
    lag_hours:      how long the sync may take.
    scope:          an expression over a side's columns; a record counts while it holds on at least one side.
    value, currency: columns that say what a record is worth.
Rows: one a differing field or one-sided, unreconcilable or watched record; all other records are only counted (`records`).
Cost: both sides are read twice. The first pass hashes the canonical fields and groups by the key's hash: about 100 bytes a key,
spilled to disk past the memory limit. The second reads again only what differs, repeats a key or is in the ledger.
#}
{% macro reconcile(reconciliation, left, right, key, fields, lag_hours, scope='is_in_scope', value='null', currency='null') %}
with

comparable_pair as (

    select reconciliation from {{ ref('comparable_pairs') }} where reconciliation = '{{ reconciliation }}'

),

key_map as (

    select {{ normalise_identifier('left_key') }} as left_key, {{ normalise_identifier('right_key') }} as right_key
    from {{ ref('key_map') }}
    where reconciliation = '{{ reconciliation }}'

),

left_side as not materialized (

    select coalesce(key_map.right_key, {{ normalise_identifier('side.' ~ key) }}) as record_key, side.*
    from {{ left }} as side
    left join key_map on key_map.left_key = {{ normalise_identifier('side.' ~ key) }}
    where exists (select 1 from comparable_pair)

),

right_side as not materialized (

    select {{ normalise_identifier('side.' ~ key) }} as record_key, side.*
    from {{ right }} as side
    where exists (select 1 from comparable_pair)

),

-- mask: 1 in left, 2 in right, 4 in scope
stacked as (

    select *, case when {{ scope }} then 5 else 1 end as mask from left_side
    union all by name
    select *, case when {{ scope }} then 6 else 2 end as mask from right_side

),

fingerprints as (

    select
        hash(coalesce(record_key, '')) as key_hash,
        mask::utinyint as mask,
        case
            when record_key is not null
                {%- for field in fields if field.stated %} and not {{ unreadable('stacked', field) }}{% endfor %}
                then hash({% for field in fields %}{{ normalised(field.field, field.normalise) }}{{ ', ' if not loop.last }}{% endfor %})
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
    from {{ source('published_judge', 'ledger') }}
    where reconciliation = '{{ reconciliation }}' and resolved_at is null

),

-- Two records, one a side, with equal hashes: settled, and only counted. All others keep their key and are read again.
settled as materialized (

    select
        case
            when records = 2 and mask & 3 = 3 and row_hashes = 0 and key_hash not in (select key_hash from watched) then null
            else key_hash
        end as key_hash,
        mask & 4 = 4 as is_in_scope,
        count(*) as keys
    from keys
    group by all

),

unsettled as (

    select key_hash from settled where key_hash is not null

),

left_records as materialized (

    {{ records_to_read('left_side', scope, value, currency) }}

),

right_records as materialized (

    {{ records_to_read('right_side', scope, value, currency) }}

),

-- A key that is empty, or stands twice on either side, can't be laid beside anything: its whole group is set apart.
unusable_keys as (

    select record_key from left_records where is_unusable
    union
    select record_key from right_records where is_unusable

),

left_usable as (

    select * from left_records where not is_unusable and record_key not in (select record_key from unusable_keys where record_key is not null)

),

right_usable as (

    select * from right_records where not is_unusable and record_key not in (select record_key from unusable_keys where record_key is not null)

),

joined as (

    select
        coalesce(left_record.record_key, right_record.record_key) as record_key,
        left_record.record_key is not null as in_left,
        right_record.record_key is not null as in_right,
        coalesce(left_record.counts, false) or coalesce(right_record.counts, false) as is_in_scope,
        left_record.updated_at as left_updated_at,
        right_record.updated_at as right_updated_at,
        coalesce(left_record.record_value, right_record.record_value) as value_at_risk,
        coalesce(left_record.record_currency, right_record.record_currency) as currency,
        [
            {%- for field in fields %}
            {{ compared_field(field) }}{{ ',' if not loop.last }}
            {%- endfor %}
        ] as compared
    from left_usable as left_record
    full outer join right_usable as right_record on left_record.record_key = right_record.record_key

),

classified as (

    select
        *,
        case
            when not is_in_scope then 'out_of_scope'
            when not in_right then 'left_only'
            when not in_left then 'right_only'
            when list_contains([c.state for c in compared], 'differs') then 'conflict'
            else 'matched'
        end as bucket
    from joined

),

read_again as (

    select
        * exclude (compared, is_in_scope),
        unnest(
            case
                when bucket = 'conflict' then [c for c in compared if c.state != 'agrees']
                else [{field: '', left_value: null, right_value: null, state: bucket}]
            end
        ) as compared
    from classified

),

unreconcilable as (

    {{ unreconcilable_records('left', key, fields) }}
    union all
    {{ unreconcilable_records('right', key, fields) }}

),

only_counted as (

    select case when is_in_scope then 'matched' else 'out_of_scope' end as bucket, keys as records
    from settled
    where key_hash is null

),

buckets as (

    select
        bucket, record_key, in_left, in_right, 1 as records,
        compared.field, compared.left_value, compared.right_value, compared.state,
        left_updated_at, right_updated_at, value_at_risk, currency, null as reason, null as record
    from read_again
    union all by name
    select 'unreconcilable' as bucket, record_key, in_left, in_right, 1 as records, '' as field, reason, record
    from unreconcilable
    union all by name
    select bucket, true as in_left, true as in_right, records, '' as field
    from only_counted

)

select
    '{{ reconciliation }}' as reconciliation,
    bucket::varchar as bucket,
    record_key::varchar as record_key,
    in_left,
    in_right,
    records::bigint as records,
    field::varchar as field,
    state::varchar as state,
    left_value::varchar as left_value,
    right_value::varchar as right_value,
    left_updated_at::timestamptz as left_updated_at,
    right_updated_at::timestamptz as right_updated_at,
    value_at_risk::decimal(38, 8) as value_at_risk,
    currency::varchar as currency,
    reason::varchar as reason,
    record::varchar as record,
    {{ lag_hours }}::double as lag_hours
from buckets
{% endmacro %}
