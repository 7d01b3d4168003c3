-- The clock and the run, as data. The same exports, clock and terms (thresholds, gates, acceptances) as the last run's are the same
-- run again, not a new one: repeating it changes nothing.
with

pulled_run as (

    select as_of, as_of_source, started_at from {{ source('pulls', 'runs') }}

),

contents as (

    select
        md5(string_agg(
            concat_ws(
                chr(31), system, table_name, digest, fetched, landed, declared_total, end_seen, epoch_us(coalesce(exported_at, written_at))
            ),
            chr(30) order by system, table_name
        )) as digest
    from {{ source('pulls', 'tables') }}

),

terms as (

    select
        concat(
            (select md5(string_agg(row(*columns(*))::varchar, chr(30) order by reconciliation)) from {{ ref('pairs') }}),
            (select md5(string_agg(check_name || is_in_force, chr(30) order by check_name)) from {{ source('pulls', 'gates') }}),
            (select md5(string_agg(concat_ws(chr(31), reconciliation, run_id, side, check_name, observed), chr(30)
                order by reconciliation, run_id, side, check_name, observed)) from {{ ref('accepted_counts') }})
        ) as digest

),

last_run as (

    select run_seq, fingerprint
    from {{ source('published_marts', 'runs') }}
    qualify row_number() over (order by run_seq desc) = 1

),

fingerprinted as (

    select pulled_run.*, md5(concat_ws(chr(31), epoch_us(pulled_run.as_of), contents.digest, terms.digest)) as fingerprint
    from pulled_run
    cross join contents
    cross join terms

),

identified as (

    select
        fingerprinted.*,
        case
            when fingerprinted.fingerprint = last_run.fingerprint then last_run.run_seq
            else coalesce(last_run.run_seq, 0) + 1
        end::integer as run_seq
    from fingerprinted
    left join last_run on true

)

select
    printf('%06d-%s', run_seq, left(fingerprint, 8)) as run_id,
    run_seq,
    fingerprint,
    as_of,
    as_of_source,
    started_at
from identified
