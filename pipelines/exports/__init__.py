"""state/exports/: the public tables as files. A link to the folder of one run, so that all of them are replaced at once."""

import os
import shutil
import tempfile
from pathlib import Path

import duckdb

from pipelines import public
from pipelines.exports.files import write_csv, write_parquet
from pipelines.exports.workbook import write_workbook
from pipelines.failures import OF_THIS_MACHINE, Failure, first_line
from pipelines.public import Run

NAME = "exports"
ABOUT = """\
Tallystick's public tables. {run}

tallystick.xlsx  What people read and decide on, with headings, filters and formats. Times are UTC.
csv/             Every table, safe for spreadsheets: text that one would take for a formula has an apostrophe in front, characters
                 that change how text is shown are replaced, times are UTC. So it is not what the systems wrote, to the letter.
raw/             Every table as Parquet, RAW: to the letter what the systems wrote, formulas too. For databases and notebooks.

The sheet "columns" of tallystick.xlsx says what each column is; docs/exports.md says more.
"""


def write(state: Path) -> None:
    """Of the last run, where one of its pairs was trusted. Raises Failure, and leaves the exports as they were."""
    try:
        with public.opened(state) as connection:
            run = public.last_run(connection)
            if run.has_trusted_pair:
                write_all(connection, run, state)
    except OF_THIS_MACHINE as error:
        way_out = f"{state / NAME} was left as it was; mend it and run tallystick publish."
        raise Failure(f"The exports were not written ({first_line(error)}).", way_out) from error


def write_all(connection: duckdb.DuckDBPyConnection, run: Run, state: Path) -> None:
    tables = public.tables(connection)
    folder = Path(tempfile.mkdtemp(prefix=f"{NAME}-{run.run_id}-", dir=state))
    try:
        write_parquet(connection, tables, run, folder / "raw")
        write_csv(connection, tables, folder / "csv")
        write_workbook(connection, tables, run, folder / "tallystick.xlsx")
        (folder / "README.txt").write_text(ABOUT.format(run=run), encoding="utf-8")
        replace(state / NAME, folder)
    finally:
        remove_others(state)


def replace(link: Path, folder: Path) -> None:
    """A relative link, as the state folder may be moved. Where it was copied, the copy may have a folder in the link's place."""
    made = folder.with_name(f"{folder.name}.link")
    made.symlink_to(folder.name)
    if link.is_dir() and not link.is_symlink():
        link.rename(folder.with_name(f"{NAME}-copied"))
    os.replace(made, link)


def remove_others(state: Path) -> None:
    """What the link no longer leads to, and what was killed half-way."""
    current = (state / NAME).resolve()
    for other in state.glob(f"{NAME}-*"):
        if other.is_symlink():
            other.unlink()
        elif other != current:
            shutil.rmtree(other, ignore_errors=True)
