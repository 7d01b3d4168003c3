-- What else should a person know who reads the list?
with

last_run as (

    select * from marts.runs where run_seq = (select max(latest.run_seq) from marts.runs as latest)

),

notes as (

    select 1 as place, reconciliation || ': ' || count(*) || ' records of ' || system || ' have no usable key; marts.unreconcilable' as note
    from marts.unreconcilable
    group by reconciliation, system
    union all
    select 2, reconciliation || ': ' || unreadable_left + unreadable_right || ' values could not be read; marts.runs'
    from last_run
    where unreadable_left + unreadable_right > 0
    union all
    select 3, 'seeds/status_map.csv does not know ' || system || ' ' || table_name || ' "' || word || '" (' || records || ' records)'
    from marts.unmapped_words
    union all
    select 4, reconciliation || ': waves were not judged, there are too few runs to judge by'
    from last_run
    where verdict = 'trusted' and has_wave is null
    union all
    select 5, count(*) || ' fixes are planned' || coalesce(', stopped: ' || any_value(stopped_because), '') || '; tallystick fix shows them'
    from marts.fix_plan
    having count(*) > 0
    union all
    select 6, count(*) || ' writes of before did not hold; marts.fix_log'
    from marts.fix_log
    where verification = 'failed' and verified_in_run = (select max(run_id) from last_run)
    having count(*) > 0
    union all
    select
        7,
        'without effect: ' || decision || ' by ' || decided_by || ' on '
        || concat_ws(', ', discrepancy_id, reconciliation, bucket, field, cause) || ': ' || state || '; mend seeds/decisions.csv'
    from marts.decision_status
    where state in ('matches nothing', 'lapsed', 'expired')
    union all
    select 8, reconciliation || ': its lag is ' || advice || ', ' || explanation
    from marts.sync_lag
    where advice in ('too short', 'too long')

)

select note from notes
order by place, note
