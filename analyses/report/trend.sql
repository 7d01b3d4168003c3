-- How did it go in the last 90 runs: what was opened and resolved, and what was open after each? An untrusted run changes nothing.
select
    run_seq, reconciliation, as_of, verdict, open, quarantined, in_flight,
    if(verdict = 'trusted', opened, null) as opened,
    if(verdict = 'trusted', resolved, null) as resolved
from marts.runs
where run_seq > (select max(latest.run_seq) - 90 from marts.runs as latest)
order by run_seq, reconciliation desc
