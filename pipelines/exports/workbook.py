"""tallystick.xlsx: what people read and decide on, a sheet a table, and one that says what the columns are."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
from xlsxwriter import Workbook

from pipelines.exports.cells import local, printable
from pipelines.exports.sheet import TIMES, Sheet, Styles
from pipelines.public import Column, Run, Table

# In this order; csv/ has every table. Of the checks only the last run's.
SHEETS = {
    "discrepancies": "order by status != 'open', reconciliation desc, value_at_risk desc nulls last, record_key, bucket, field",
    "values_at_risk": "order by all",
    "quarantine": "order by due_at nulls last, reconciliation desc, record_key, field",
    "unreconcilable": "order by all",
    "fix_plan": "order by reconciliation desc, record_key, operation, field",
    "runs": "order by run_seq desc, reconciliation desc",
    "trust_checks": "where run_id = $run_id order by passed, reconciliation desc, check_name, side",
}
SUMMED_UP = (
    *("reconciliation", "verdict", "left_system", "left_in_scope", "right_system", "right_in_scope"),
    *("matched", "open", "in_flight", "quarantined", "accepted", "opened", "resolved"),
)
IDS = ("discrepancy_id", "idempotency_key")  # for looking up, not for reading: the last columns
MOST_ROWS = 50_000  # Excel takes a million, but nobody reads so many, and 50,000 take ten seconds to write
MOST_CHARACTERS = 16_383  # Excel takes 32,767 of UTF-16, in which an emoji is two
ROWS_AT_ONCE = 1_000
LENGTH_OF_A_TIME = 16
EXPLAINED = [Column(name, "VARCHAR", name, None, "") for name in ("Table", "Heading", "Column", "Unit", "What it is")]
CONTENTS = [Column(name, kind, name, None, "") for name, kind in (("Sheet", "VARCHAR"), ("Rows", "BIGINT"), ("What it is", "VARCHAR"))]


def write_workbook(connection: duckdb.DuckDBPyConnection, tables: list[Table], run: Run, file: Path) -> None:
    options = {"constant_memory": True, "tmpdir": str(file.parent), "strings_to_formulas": False, "strings_to_urls": False}
    named = {table.name: table for table in tables}
    with Workbook(file, options) as book:
        book.set_properties({"title": "Tallystick", "comments": str(run), "created": run.as_of.replace(tzinfo=None)})
        styles = Styles(book)
        summary = Sheet(book.add_worksheet("summary"), styles)
        contents = []
        for name, which in SHEETS.items():
            if table := named.get(name):  # an older version's warehouse may lack one
                rows = put_table(connection, Sheet(book.add_worksheet(name), styles), table, Query(name, which, run))
                contents.append((name, rows, table.description))
        put_columns(Sheet(book.add_worksheet("columns"), styles), tables)
        put_summary(connection, summary, named["runs"], contents, run)


class Query:
    """Some rows of one table."""

    def __init__(self, table: str, which: str, run: Run):
        self.rows = f'(from marts."{table}" {which})'
        self.values = {"run_id": run.run_id} if "$run_id" in which else {}

    def answer(self, connection: duckdb.DuckDBPyConnection, select: str, limit: str = "") -> Iterator[tuple]:
        found = connection.execute(f"select {select} from {self.rows} {limit}", self.values)
        while rows := found.fetchmany(ROWS_AT_ONCE):
            yield from rows


def put_table(connection: duckdb.DuckDBPyConnection, sheet: Sheet, table: Table, query: Query) -> int:
    """How many rows there are; where the sheet has fewer, its last line says so."""
    columns = sorted(table.columns, key=lambda column: column.name in IDS)
    lengths = ", ".join(f'max(length("{column.name}"))' if column.type == "VARCHAR" else str(LENGTH_OF_A_TIME) for column in columns)
    ((rows, *longest),) = query.answer(connection, f"count(*), {lengths}")
    sheet.head(columns, [length or 0 for length in longest])
    sheet.put(columns, query.answer(connection, ", ".join(map(cell, columns)), f"limit {MOST_ROWS}"))
    sheet.worksheet.freeze_panes(1, 0)
    sheet.worksheet.autofilter(0, 0, max(sheet.row - 1, 1), len(columns) - 1)
    if rows > MOST_ROWS:
        sheet.line(f"… and {rows - MOST_ROWS:,} more rows, which csv/{table.name}.csv has", sheet.styles.title)
    return rows


def cell(column: Column) -> str:
    """As a sheet takes it. Times are text until then: Python has none after 9999."""
    name = f'"{column.name}"'
    if column.type == "VARCHAR":
        cut = f"{name}[:{MOST_CHARACTERS - 100}] || ' … cut: raw/ has all ' || length({name}) || ' characters'"
        return printable(f"case when length({name}) > {MOST_CHARACTERS} then {cut} else {name} end")
    return f"({local(column)})::varchar" if column.type in TIMES else name


def put_columns(sheet: Sheet, tables: list[Table]) -> None:
    rows = [(table.name, column.label, column.name, column.unit, column.description) for table in tables for column in table.columns]
    sheet.head(EXPLAINED, [max(len(row[place] or "") for row in rows) for place in range(len(EXPLAINED))])
    sheet.put(EXPLAINED, rows)
    sheet.worksheet.freeze_panes(1, 0)
    sheet.worksheet.autofilter(0, 0, len(rows), len(EXPLAINED) - 1)


def put_summary(connection: duckdb.DuckDBPyConnection, sheet: Sheet, runs: Table, contents: list[tuple[str, int, str]], run: Run) -> None:
    """The last run's pairs, and what else is here."""
    columns = [column for name in SUMMED_UP for column in runs.columns if column.name == name]
    last_run = Query(runs.name, "where run_id = $run_id order by reconciliation desc", run)
    sheet.line("Tallystick", sheet.styles.title)
    sheet.line(str(run))
    sheet.line()
    sheet.head(columns, [LENGTH_OF_A_TIME] * len(columns))
    sheet.put(columns, last_run.answer(connection, ", ".join(f'"{name}"' for name in SUMMED_UP)))
    sheet.line()
    sheet.head(CONTENTS, [LENGTH_OF_A_TIME] * len(CONTENTS))
    sheet.put(CONTENTS, contents)
    sheet.line()
    sheet.line("Times are UTC. The sheet columns says what each column is. Every table is in csv/ and, to the letter, in raw/.")
