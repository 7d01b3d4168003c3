-- A list that nobody owns is read by nobody. Fails with the first kind of difference for which seeds/owners.csv has no row that leaves
-- the field blank: only such a row covers a field that nobody has thought of yet.
with

kinds as (

    select reconciliation, bucket, cause
    from unnest({{ var('reconciliations') | list }}) as pairs (reconciliation)
    cross join unnest(['left_only', 'right_only', 'conflict']) as buckets (bucket)
    cross join unnest({{ causes() }}) as causes (cause)

),

unowned as (

    select kinds.*
    from kinds
    anti join {{ ref('owners') }} as owners
        on owners.owner is not null
        and owners.days_to_decide >= 0
        and owners.field is null
        and coalesce(owners.reconciliation, kinds.reconciliation) = kinds.reconciliation
        and coalesce(owners.bucket, kinds.bucket) = kinds.bucket
        and coalesce(owners.cause, kinds.cause) = kinds.cause

)

select *
from unowned
where error(format(
    'seeds/owners.csv has no owner for {}, {}, {}; add a row with owner and days_to_decide that leaves field blank',
    reconciliation, bucket, cause
)) is null
