"""What was found, held against the truth. The figures come from SQL on three tables, which stay for anybody to join:

out_of_step  what really was out of step, one row a night and difference
listed       what marts.discrepancies held after each night
nights       one row a night and pair: its clock, its verdict, and the verdict that it should have had
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow

from pipelines.simulate.days import Night

DDL = """
create table out_of_step (
    night integer, as_of timestamptz, reconciliation varchar, record_key varchar, bucket varchar, field varchar,
    out_of_step_since timestamptz, stale_side varchar, cause varchar, fault varchar, evidence_allows boolean
);
create table listed (
    night integer, as_of timestamptz, reconciliation varchar, record_key varchar, bucket varchar, field varchar, status varchar,
    first_seen_at timestamptz, opened_at timestamptz, out_of_step_since timestamptz, is_since_exact boolean,
    stale_side varchar, cause varchar, cause_evidence varchar
);
create table nights (night integer, as_of timestamptz, reconciliation varchar, verdict varchar, wanted_verdict varchar);

-- What a trusted night should list, beside what it listed; a difference that is there for as long as the lag must be open.
create view held_against as
with
trusted as (
    select night, as_of, reconciliation, row_number() over (partition by reconciliation order by night) as nth
    from nights
    where verdict = 'trusted'
),
sighted as (
    select truth.*, trusted.nth
    from out_of_step as truth
    inner join trusted on trusted.night = truth.night and trusted.reconciliation = truth.reconciliation
),
-- Nights in a row make one opening.
openings as (
    select *, nth - row_number() over (partition by reconciliation, record_key, bucket, field order by nth) as opening
    from sighted
),
planted as (
    select *, min(as_of) over (partition by reconciliation, record_key, bucket, field, opening) as sighted_at
    from openings
),
found as (
    select listed.*
    from listed
    inner join trusted on trusted.night = listed.night and trusted.reconciliation = listed.reconciliation
)
select
    night, reconciliation, record_key, bucket, field,
    planted.sighted_at, planted.opening, planted.fault, planted.evidence_allows,
    planted.night is not null as is_true,
    found.night is not null as is_listed,
    found.status,
    planted.as_of >= planted.sighted_at + interval 24 hours as is_due,
    planted.out_of_step_since as true_since, found.out_of_step_since, found.is_since_exact,
    planted.stale_side as true_stale_side, found.stale_side, planted.cause as true_cause, found.cause, found.cause_evidence
from planted
full outer join found using (night, reconciliation, record_key, bucket, field);

-- One row a difference that outlived the lag, and cause that it truly had: as it stood on the last night of that.
create view judgements as
select
    *,
    case
        when cause is not distinct from true_cause and stale_side is not distinct from true_stale_side then 'right'
        when coalesce(cause, 'unknown') = 'unknown' and coalesce(stale_side, 'unknown') = 'unknown' then 'unknown'
        else 'wrong'
    end as judgement,
    case
        when is_since_exact then out_of_step_since = true_since
        else coalesce(out_of_step_since >= true_since, false)
    end as is_since_true
from held_against
where is_true and status != 'in_flight'
qualify row_number() over (
    partition by reconciliation, record_key, bucket, field, sighted_at, true_cause, true_stale_side order by night desc
) = 1;
"""

DETECTION = """
select
    count(distinct (reconciliation, record_key, bucket, field, sighted_at)) filter (is_true) as planted,
    count(*) filter (is_true and not is_listed) as missed,
    count(*) filter (is_due and coalesce(status, 'in_flight') = 'in_flight') as late,
    count(*) filter (is_listed and not is_true) as made_up,
    coalesce(1 - (missed + late) / nullif(count(*) filter (is_true), 0), 1) as recall,
    coalesce(1 - made_up / nullif(count(*) filter (is_listed), 0), 1) as precision
from held_against
"""

JUDGEMENT = """
select
    true_cause as cause,
    count(*) as listed,
    count(*) filter (evidence_allows) as knowable,
    count(*) filter (evidence_allows and judgement = 'right') as right,
    count(*) filter (evidence_allows and judgement = 'unknown') as unknown,
    count(*) filter (evidence_allows and judgement = 'wrong') as wrong,
    count(*) filter (not evidence_allows and judgement = 'wrong') as guessed_wrong,
    count(*) filter (is_since_true) as since_true
from judgements
group by rollup (true_cause)
order by grouping(true_cause), true_cause
"""

WRONG = """
select
    night, reconciliation, record_key, bucket, field, fault, evidence_allows,
    true_stale_side, stale_side, true_cause, cause, cause_evidence
from judgements
where judgement = 'wrong' or (evidence_allows and judgement = 'unknown')
order by all
"""


class Score:
    """The three tables in a file, or in memory."""

    def __init__(self, path: Path | None = None):
        self.connection = duckdb.connect(path or ":memory:")
        self.connection.execute("set TimeZone = 'UTC'")
        self.connection.execute(DDL)

    def record(self, night: Night, truth: list[dict], listed: list[dict], verdicts: list[dict]) -> None:
        """One night. `listed` are the rows of marts.discrepancies after it, `verdicts` has a row a pair."""
        stamp = {"night": night.number, "as_of": night.as_of}
        self.take("out_of_step", [row | stamp for row in truth])
        self.take("listed", [row | stamp for row in listed])
        wanted = {True: "trusted", False: "not trustworthy"}
        self.take("nights", [row | stamp | {"wanted_verdict": wanted[row["reconciliation"] in night.trusted]} for row in verdicts])

    def take(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds rows; columns that the table does not have are left out, and those that a row does not have are null."""
        columns = [name for name, *_ in self.connection.execute(f"describe {table}").fetchall()]
        given = pyarrow.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows])
        if given.num_rows:
            self.connection.execute(f"insert into {table} by name from given")

    def rows(self, query: str) -> list[dict[str, Any]]:
        found = self.connection.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def detection(self) -> dict[str, int]:
        return self.rows(DETECTION)[0]

    def is_whole(self) -> bool:
        """Everything that was out of step was listed in time, and nothing else."""
        return not any(self.detection()[name] for name in ("missed", "late", "made_up"))

    def judgement(self) -> list[dict[str, Any]]:
        """One row a cause; the last, without one, is all of them."""
        return self.rows(JUDGEMENT)
