-- One row a run and target that was sent a message, or should have been. A run carries it on; who sends writes it after the run.
select
    run_id, target, status, reason, attempts, attempted_at, since_run, is_summary, untrusted, news, reopened, worsened, overdue, title
from {{ source('published_marts', 'notifications') }}
