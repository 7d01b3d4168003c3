"""The current differences for scripts and chat, most pressing first: marts.discrepancies in the form that was asked for."""

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import chain, islice

import duckdb
from rich.console import Console
from rich.text import Text

from pipelines import settings
from pipelines.failures import BadConfiguration, NotTrustworthy
from pipelines.show import LAST_TRUSTED_RUNS, age, meaning, plain, plain_table, rows

AT_ONCE = 1_000
LONGEST_VALUE = 80
HEADINGS = ("status", "due", "owner", "pair", "key", "difference", "age", "at risk")

# What waits for somebody comes first, soonest due. Amounts order only what is due at one time in one currency: two have no common scale.
LIST = """
select * from marts.discrepancies
where status = coalesce($status, status) and bucket = coalesce($bucket, bucket)
    and coalesce(owner, 'nobody') = coalesce($owner, owner, 'nobody') and reconciliation = coalesce($pair, reconciliation)
    and field = coalesce($field, field) and cause = coalesce($cause, cause) and (is_overdue or not $overdue)
order by
    status in ('open', 'quarantined') desc, due_at nulls last, currency nulls last, value_at_risk desc nulls last,
    first_seen_at,
    reconciliation desc, record_key, bucket, field
"""

# The words that a filter can have: those that differences ever had, and owners who have none yet.
WORDS = """
with ever as (select distinct coalesce(owner, 'nobody') as owner, field, cause from marts.discrepancy_history)
select 'owner' as filter, owner as word from ever
union select 'owner', owner from read_csv($owners, header = true, all_varchar = true) where owner is not null
union select 'pair', reconciliation from marts.runs where run_seq = (select max(run_seq) from marts.runs)
union select 'field', field from ever where field != ''
union select 'cause', cause from ever
order by all
"""


class Status(StrEnum):
    """Of a current difference."""

    open = "open"
    in_flight = "in_flight"
    accepted = "accepted"
    quarantined = "quarantined"


class Bucket(StrEnum):
    """Of a current difference."""

    left_only = "left_only"
    right_only = "right_only"
    conflict = "conflict"


class Format(StrEnum):
    """How the list is written."""

    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"


@dataclass(frozen=True)
class Found:
    """What was asked for, fetched as it is written."""

    names: list[str]
    rows: Iterator[tuple]

    def as_dicts(self) -> Iterator[dict]:
        return (dict(zip(self.names, row, strict=True)) for row in self.rows)


def write(connection: duckdb.DuckDBPyConnection, console: Console, form: Format, filters: dict) -> None:
    """Raises BadConfiguration on a word that nothing has, and NotTrustworthy where a pair was never trusted: no list is no good news."""
    refuse_unknown(connection, filters)
    for sentence in outdated(connection, filters["pair"]):
        print(sentence, file=sys.stderr)
    if form != Format.table:
        sys.stdout.reconfigure(encoding="utf-8")
    write_as = {Format.table: as_table, Format.markdown: as_markdown, Format.csv: as_csv, Format.json: as_json}[form]
    if not write_as(matching(connection, filters), console):
        print("Nothing is listed.", file=sys.stderr)


def refuse_unknown(connection: duckdb.DuckDBPyConnection, filters: dict) -> None:
    words = rows(connection, WORDS, {"owners": str(settings.ROOT / "seeds/owners.csv")})
    for name in {word["filter"] for word in words}:
        known = [word["word"] for word in words if word["filter"] == name]
        if filters[name] not in (None, *known):
            raise BadConfiguration(f"There is no {name} {plain(filters[name])!r}; there are {', '.join(map(plain, known))}.")


def outdated(connection: duckdb.DuckDBPyConnection, pair: str | None) -> list[str]:
    """Of each pair whose last run was not trusted a sentence: the list does not say it."""
    runs = [run for run in rows(connection, LAST_TRUSTED_RUNS) if pair in (None, run["reconciliation"])]
    if never := [run["reconciliation"] for run in runs if run["run_id"] is None]:
        raise NotTrustworthy(
            f"No run of {', '.join(never)} was ever trusted, so nothing is known of it.",
            "Nothing was touched; tallystick status says more, --pair lists another.",
        )
    return [
        f"{run['reconciliation']}: the last run was not trusted; listed is what run {run['run_id']} found,"
        f" as of {run['trusted_as_of']:%Y-%m-%d %H:%M} UTC."
        for run in runs
        if run["verdict"] != "trusted"
    ]


def matching(connection: duckdb.DuckDBPyConnection, filters: dict) -> Found:
    found = connection.execute(LIST, filters)
    batches = iter(lambda: found.fetchmany(AT_ONCE), [])
    return Found([name for name, *_ in found.description], chain.from_iterable(batches))


def as_table(found: Found, console: Console) -> int:
    """As many as are looked at: how wide it is, is known only once all that it shows is."""
    shown = list(islice(found.as_dicts(), AT_ONCE))
    table = plain_table(*HEADINGS[:-2], numbers=HEADINGS[-2:])
    for row in shown:
        table.add_row(*map(Text, told(row, plain)), style="red" if row["is_overdue"] else "")
    if shown:
        console.print(table)
    if more := sum(1 for _ in found.rows):
        console.print(f"… and {more:,} more; --format csv has them all")
    return len(shown)


def as_markdown(found: Found, console: Console) -> int:
    """A GitHub table. What comes from the data is code there, in which nothing is a link, a mention or markup."""
    written = 0
    for written, row in enumerate(found.as_dicts(), 1):
        if written == 1:
            sys.stdout.write(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}\n")
        sys.stdout.write(f"| {' | '.join(told(row, code))} |\n")
    return written


def as_csv(found: Found, console: Console) -> int:
    """As it is stored; only on a terminal without what one would obey."""
    written, write_row = 0, csv.writer(sys.stdout, lineterminator="\n").writerow
    write_row(found.names)
    for row in found.rows:
        values = map(stated, row)
        write_row(map(plain, values) if console.is_terminal else values)
        written += 1
    return written


def as_json(found: Found, console: Console) -> int:
    """An array, a line each, all of it ASCII."""
    written = 0
    for written, row in enumerate(found.as_dicts(), 1):
        sys.stdout.write((",\n" if written > 1 else "[") + json.dumps(row, default=number_or_time))
    sys.stdout.write("]\n" if written else "[]\n")
    return written


def number_or_time(value: Decimal | datetime) -> float | str:
    return float(value) if isinstance(value, Decimal) else value.isoformat()


def stated(value: object) -> str:
    """As text for another program."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"  # str would write a nought as 0E-8
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def told(row: dict, value: Callable[[str], str]) -> tuple[str, ...]:
    """One difference under the headings; `value` makes what comes from the data harmless."""

    def short(text: str | None) -> str:
        if text is None:
            return "nothing"
        return value(text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…")

    both = f"{row['field']}: {row['left_system']} {short(row['left_value'])}, {row['right_system']} {short(row['right_value'])}"
    return (
        row["status"].replace("_", " ") + (", overdue" if row["is_overdue"] else ""),
        f"{row['due_at']:%Y-%m-%d}" if row["due_at"] else "-",
        short(row["owner"] or "nobody"),
        row["reconciliation"],
        short(row["record_key"]),
        both if row["bucket"] == "conflict" else meaning(row),
        age(row["age_hours"]),
        "-" if row["value_at_risk"] is None else f"{row['value_at_risk']:,.2f} {short(row['currency'] or '')}".rstrip(),
    )


def code(text: str) -> str:
    """A code span, in which a table's cell still ends at a bar that is not escaped."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{plain(text)}{space}{fence}".replace("|", r"\|") if text else ""
