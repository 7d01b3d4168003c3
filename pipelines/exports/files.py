"""Every public table as a Parquet file to the letter, and as a CSV file that a spreadsheet can open without obeying it."""

from pathlib import Path

import duckdb

from pipelines.exports.cells import local, printable, quoted
from pipelines.public import Column, Run, Table

BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for the machine's own code page
# A comma, semicolon, tab or line break begins a new cell where the file is read with another separator than it has.
BEGINS_A_CELL = r"(^|[;,|\t\r\n])"
PASSED_OVER = r"([\s\pZ\p{Cf}''\"`]*)"
BEGINS_A_FORMULA = "([=+@＝＋－＠﹦﹢﹣﹫-])"


def write_parquet(connection: duckdb.DuckDBPyConnection, tables: list[Table], run: Run, folder: Path) -> None:
    folder.mkdir()
    about = f"run_id: {quoted(run.run_id)}, about: {quoted(f'RAW, not for spreadsheets: values as the systems wrote them. {run}')}"
    for table in tables:
        target = quoted(folder / f"{table.name}.parquet")
        options = f"format parquet, compression zstd, kv_metadata {{{about}}}"
        connection.execute(f'copy (from marts."{table.name}" order by all) to {target} ({options})')


def write_csv(connection: duckdb.DuckDBPyConnection, tables: list[Table], folder: Path) -> None:
    folder.mkdir()
    for table in tables:
        first, *others = table.columns
        cells = [f'{cell(first)} as "{BYTE_ORDER_MARK}{first.name}"', *(f'{cell(column)} as "{column.name}"' for column in others)]
        target = quoted(folder / f"{table.name}.csv")
        connection.execute(
            f'copy (select {", ".join(cells)} from (from marts."{table.name}" order by all)) to {target} (format csv, header)'
        )


def cell(column: Column) -> str:
    """A number stays one, below zero too."""
    return harmless(printable(f'"{column.name}"')) if column.type == "VARCHAR" else local(column)


def harmless(text: str) -> str:
    """With an apostrophe in front of what would begin a formula, and of what a spreadsheet drops from the beginning of a cell."""
    neutralised = f"regexp_replace({text}, '{BEGINS_A_CELL}{PASSED_OVER}{BEGINS_A_FORMULA}', '\\1\\2''\\3', 'g')"
    return f"regexp_replace({neutralised}, '^([\\t\\r\\n])', '''\\1')"
