"""The two sides that are compared: the same bytes for the same number of records, two nights, Parquet or CSV.

Of the records of a side 0.5 % are on that side alone and 1 % are in conflict with the other, one in four of them in two
fields. Some more are written differently and mean the same, so that canonicalisation has something to do: on the right
2 % of the keys (case, blanks, a zero-width space), 2.5 % of the e-mail addresses (case), 1.7 % of the names (a trailing
tab) and 1 % of the amounts (a cent). 5 % of the names are not ASCII. The right side is in another order than the left.
On the second night 0.1 % of the records have changed: half of them on both sides, a quarter on the left alone (a new
conflict), and in a quarter a conflict is mended. All records are in scope.

    python benchmarks/generate.py 100000 [--csv]
"""

import argparse
import json
from pathlib import Path

import duckdb

DATA = Path(__file__).resolve().parent / "data"
NIGHTS = {"night-1": "2026-03-03T03:00:00Z", "night-2": "2026-03-04T03:00:00Z"}
SIDES = {"left": "crm", "right": "billing"}
FIELDS = ["name", "email", "status", "country", "plan", "amount", "currency", "starts_on"]
BLOCK = 201  # ids come in blocks of 201: one left only, one right only, two in conflict, 197 agreed

# The position in the file becomes an id; the right side's by a walk through all of them (7919 divides no power of ten).
ORDER = {"left": "i", "right": "i * 7919 % {records}"}

SIDE = """
with ids as (

    -- 50 and 150 are in conflict, 100 is on the left alone, 200 on the right alone
    select
        ({order}) // 200 as block,
        case when {is_right} and ({order}) % 200 >= 100 then ({order}) % 200 + 1 else ({order}) % 200 end as place
    from range({records}) as t(i)

),

drawn as (

    select
        block * {block_size} + place as id,
        {is_right} and place in (50, 150) and not ({night} = 2 and block % 20 = 0 and place = 50) as is_conflict,
        {night} = 2 and place = 120 and (block % 20 in (10, 15) or block % 20 = 5 and not {is_right}) as is_changed,
        (block * 2 + place // 100) % {field_count} as conflict_field,
        case when block % 4 = 0 then (conflict_field + 3) % {field_count} else conflict_field end as second_field,
        id * 2654435761 % 4294967291 as draw
    from ids

),

agreed as (

    select
        *,
        printf('R-%09d', id) as record_number,
        ['Amber', 'Birch', 'Cedar', 'Delta', 'Ember', 'Flint', 'Grove', 'Harbor'][1 + draw % 8] || ' '
            || ['Foods', 'Freight', 'Health', 'Labs', 'Media', 'Metals', 'Tools'][1 + draw // 8 % 7] || ' '
            || id % 100000 || case when id % 20 = 1 then ' Köln' else ' Ltd' end
            || case when is_changed then ' II' else '' end as name,
        lower(hex(draw)) || '.' || id || '@example.' || ['com', 'org', 'net'][1 + draw % 3] as email,
        ['active', 'active', 'active', 'trial', 'paused'][1 + draw // 64 % 5] as status,
        case when draw % 100 > 0 then ['DE', 'FR', 'GB', 'PL', 'US', 'ES', 'NL'][1 + draw // 512 % 7] end as country,
        ['starter', 'team', 'business', 'enterprise'][1 + draw // 4096 % 4] as plan,
        ((500 + draw % 2000000) / 100)::decimal(18, 2) as amount,
        ['EUR', 'GBP', 'USD'][1 + draw // 32768 % 3] as currency,
        date '2021-01-01' + (draw // 7 % 1800)::integer as starts_on,
        timestamptz '2025-01-01 00:00:00+00' + to_seconds(draw % 30000000) as updated_at
    from drawn

)

select
    case
        when not {is_right} then record_number
        when id % 150 = 7 then lower(record_number)
        when id % 150 = 57 then '  ' || record_number || chr(9)
        when id % 150 = 107 then record_number || chr(8203)
        else record_number
    end as record_number,
    name || case when {in_conflict[name]} then ' GmbH' else '' end
        || case when {is_right} and id % 60 = 5 then chr(9) else '' end as name,
    case
        when {in_conflict[email]} then 'new.' || email
        when {is_right} and id % 40 = 3 then upper(email)
        else email
    end as email,
    case when {in_conflict[status]} then 'overdue' else status end as status,
    case when {in_conflict[country]} then 'XX' else country end as country,
    case when {in_conflict[plan]} then 'custom' else plan end as plan,
    (
        amount + case when {in_conflict[amount]} then 10 when {is_right} and id % 100 = 9 then 0.01 else 0 end
    )::decimal(18, 2) as amount,
    case when {in_conflict[currency]} then 'CHF' else currency end as currency,
    case when {in_conflict[starts_on]} then starts_on + 1 else starts_on end as starts_on,
    case when is_changed then timestamptz '2026-03-03 12:00:00+00' else updated_at end as updated_at
from agreed
"""


def export(records: int, night: str, kind: str = "parquet") -> Path:
    """The folder that holds crm/ and billing/ of a night, made unless it is there."""
    folder = DATA / str(records) / kind / night
    for side, system in SIDES.items():
        target = folder / system / f"records.{kind}"
        if target.with_name("manifest.json").exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        fields = {field: f"(is_conflict and {number} in (conflict_field, second_field))" for number, field in enumerate(FIELDS)}
        query = SIDE.format(
            order=ORDER[side].format(records=records),
            records=records,
            is_right=side == "right",
            night=1 if night == "night-1" else 2,
            block_size=BLOCK,
            field_count=len(FIELDS),
            in_conflict=fields,
        )
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = true; set memory_limit = '2GB'")
            options = "format csv, header" if kind == "csv" else "format parquet"
            connection.execute(f"copy ({query}) to '{target}' ({options})")
        manifest = {"exported_at": NIGHTS[night], "records": {"records": records}}
        target.with_name("manifest.json").write_text(json.dumps(manifest))
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=int, nargs="+", help="records a side, a multiple of 200 with no factor 7919")
    parser.add_argument("--csv", action="store_true", help="CSV instead of Parquet")
    arguments = parser.parse_args()
    for records in arguments.records:
        for night in NIGHTS:
            print(export(records, night, "csv" if arguments.csv else "parquet"), flush=True)
