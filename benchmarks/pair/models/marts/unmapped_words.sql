-- The pair has no status words.
select run_id, null::varchar as system, null::varchar as table_name, null::varchar as word, 0::bigint as records
from {{ ref('this_run') }}
where false
