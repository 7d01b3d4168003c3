-- How old is what is open, from the first sighting to the clock of the list?
with

bands (band, from_hours, to_hours) as (

    values ('up to a day', 0, 24), ('up to a week', 24, 168), ('up to a month', 168, 720), ('older than a month', 720, null)

),

pairs as (

    select distinct reconciliation from marts.discrepancies where status = 'open'

)

select pairs.reconciliation, bands.band, bands.from_hours, count(differences.discrepancy_id) as open
from pairs
cross join bands
left join marts.discrepancies as differences
    on
        differences.reconciliation = pairs.reconciliation and differences.status = 'open'
        and (differences.age_hours > bands.from_hours or bands.from_hours = 0)
        and (differences.age_hours <= bands.to_hours or bands.to_hours is null)
group by all
order by bands.from_hours, pairs.reconciliation desc
