-- A key, word or currency that stands twice in its seed would multiply the records it is joined to.
-- Fails with the seed and the row, before anything reads them. A row that is merely repeated is enough.
with

said as (

    select 'key_map' as seed, concat_ws(' ', reconciliation, {{ normalise_identifier('left_key') }}) as entry from {{ ref('key_map') }}
    union all
    select 'status_map' as seed, concat_ws(' ', system, table_name, word) as entry from {{ ref('status_map') }}
    union all
    select 'currencies' as seed, currency as entry from {{ ref('currencies') }}
    union all
    select 'owners' as seed, {{ kind_in_words() }} as entry from {{ ref('owners') }}
    union all
    select 'response_policies' as seed, {{ kind_in_words() }} as entry from {{ ref('response_policies') }}
    union all
    select 'status_map' as seed, concat_ws(' ', 'is_written for', system, table_name, status) as entry
    from {{ ref('status_map') }} where is_written

)

select seed, entry
from said
group by seed, entry
having case when count(*) > 1 then error('seeds/' || seed || '.csv says ' || entry || ' ' || count(*) || ' times; keep one row') is null end
