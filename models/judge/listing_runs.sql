-- The runs whose lists the wave test knows, and this one: trusted, the last few, and how long after the one before each came. A pair's
-- first is none of them: its list is the inventory, and no news.
{{ config(materialized='view', database='snapshot') }}

with

this_run as (

    select run_id, run_seq, as_of from {{ ref('this_run') }}

),

trusted as (

    select earlier.reconciliation, earlier.run_id, earlier.run_seq, earlier.as_of, earlier.listed, earlier.has_wave, false as is_this_run
    from {{ source('published_marts', 'runs') }} as earlier
    inner join this_run on earlier.run_seq < this_run.run_seq
    where earlier.verdict = 'trusted' and earlier.listed is not null
    union all
    select verdicts.reconciliation, this_run.run_id, this_run.run_seq, this_run.as_of, null, null, true
    from {{ ref('verdicts') }} as verdicts
    cross join this_run
    where verdicts.verdict = 'trusted'

),

-- Two runs within an hour count as an hour apart: what a person runs again at once has hardly waited for anything.
spaced as (

    select
        trusted.*,
        greatest(3600, date_diff('second', lag(as_of) over (partition by reconciliation order by run_seq), as_of)) as seconds,
        row_number() over (partition by reconciliation order by run_seq) as run_number,
        row_number() over (partition by reconciliation order by run_seq desc) - 1 as runs_ago
    from trusted

)

select spaced.*
from spaced
inner join {{ ref('pairs') }} as pairs on pairs.reconciliation = spaced.reconciliation
where spaced.run_number > 1 and spaced.runs_ago <= pairs.runs_of_wave_history
