-- What did the last run see gone, and what did it see instead?
select reconciliation, resolution, count(*) as differences, count(*) filter (listed_at is not null) as were_listed
from marts.discrepancy_history
where resolved_in_run = (select arg_max(run_id, run_seq) from marts.runs)
group by all
order by differences desc, reconciliation desc, resolution
