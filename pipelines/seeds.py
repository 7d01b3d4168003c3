"""What people state in seeds/: whether it can be read, whether it has changed since a plan, and rows that a command adds to it."""

import csv
import io
import os
from pathlib import Path

import duckdb

from pipelines import settings
from pipelines.failures import BadConfiguration, first_line

OF_A_PLAN = ("decisions", "response_policies", "status_map", "key_map")

# As dbt-duckdb loads a seed.
AS_IT_IS_NOW = """
create temp table {seed} as select {columns} from made_of.seeds.{seed} limit 0;
copy {seed} from '{file}' (format csv, header true, delimiter ',')
"""
CHANGED = "from (({one} except all {other}) union all ({other} except all {one}))"


def refuse_other_columns() -> None:
    """Raises BadConfiguration where a seed lacks a column: dbt would load it, and each reader of it fail in words of its own."""
    for name, columns in settings.seed_columns().items():
        if missing := [column for column in columns if column not in header(name)]:
            raise BadConfiguration(f"seeds/{name}.csv has no column {missing[0]}; its first line should be {','.join(columns)}.")


def header(name: str) -> list[str]:
    try:
        with file_of(name).open(encoding="utf-8-sig", newline="") as lines:
            return next(csv.reader(lines), [])
    except (FileNotFoundError, UnicodeDecodeError, csv.Error) as error:
        raise BadConfiguration(f"seeds/{name}.csv can't be read: {first_line(error)}.") from error


def file_of(name: str) -> Path:
    return settings.ROOT / f"seeds/{name}.csv"


def changed_since(snapshot: Path) -> list[str]:
    """The seeds of a fix plan that say something else now than in its run's snapshot."""
    refuse_other_columns()
    with duckdb.connect() as connection:
        connection.execute(f"set TimeZone = 'UTC'; attach '{settings.quoted(snapshot)}' as made_of (read_only)")
        return [name for name in OF_A_PLAN if has_changed(connection, name)]


def has_changed(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    columns = ", ".join(f'"{column}"' for column in header(name))
    try:
        connection.execute(AS_IT_IS_NOW.format(seed=name, columns=columns, file=settings.quoted(file_of(name))))
    except duckdb.Error as error:
        raise BadConfiguration(f"seeds/{name}.csv can't be read: {first_line(error)}.") from error
    one, other = f"select {columns} from {name}", f"select {columns} from made_of.seeds.{name}"
    return connection.execute(CHANGED.format(one=one, other=other)).fetchone() is not None


def states(name: str, values: dict) -> bool:
    """Whether a row of seeds/`name`.csv says this."""
    said = {column: "" if value is None else str(value) for column, value in values.items()}
    with file_of(name).open(encoding="utf-8-sig", newline="") as lines:
        return any(said.items() <= row.items() for row in csv.DictReader(lines))


def append(name: str, rows: list[dict]) -> None:
    """Adds rows to seeds/`name`.csv, whole or not at all. Raises BadConfiguration where its columns are others."""
    seed = file_of(name)
    held = seed.read_text()
    columns = next(csv.reader(io.StringIO(held)), [])
    if sorted(columns) != sorted(rows[0]):
        raise BadConfiguration(
            f"seeds/{name}.csv has the columns {', '.join(columns)}; they should be {', '.join(rows[0])}.", "It was left as it is."
        )
    added = io.StringIO()
    csv.DictWriter(added, columns, lineterminator="\n").writerows(rows)
    beside = seed.with_suffix(".csv.new")
    beside.write_text(held + ("" if held.endswith("\n") else "\n") + added.getvalue())
    os.replace(beside, seed)
