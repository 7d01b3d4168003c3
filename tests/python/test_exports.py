"""state/exports/, read by other libraries: every table, every cell; what a spreadsheet would obey; what is left where one is killed."""

import csv
import math
import re
import signal
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import marts
import openpyxl
import pyarrow.parquet
import pytest
from conftest import ROOT
from openpyxl.utils.escape import unescape

from pipelines import public
from pipelines.exports import workbook, write
from pipelines.failures import Failure
from pipelines.public import contracts

FORMULA = re.compile(r"[\s\"'`\u200b]*[=+\-@＝＋－＠]")
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe]")
TEXTS = [column["name"] for column in contracts()["discrepancies"]["columns"] if column["data_type"] == "varchar"]


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Path:
    state = marts.publish(tmp_path_factory.mktemp("state"), discrepancies=marts.hostile())
    write(state)
    return state


def cells(state: Path, table: str = "discrepancies", delimiter: str = ",") -> list[dict[str, str]]:
    with (state / f"exports/csv/{table}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def printable(text: str | None) -> str | None:
    return text and UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def stored(state: Path, columns: str, order: str = "discrepancy_id") -> list[tuple]:
    return marts.read(state, f"select {columns} from marts.discrepancies order by {order}")


def test_every_table_is_there_as_parquet_and_as_csv(state):
    for folder, ending in (("raw", "parquet"), ("csv", "csv")):
        assert {path.name for path in (state / "exports" / folder).iterdir()} == {f"{table}.{ending}" for table in contracts()}


def test_parquet_is_the_table_to_the_letter(state):
    for table, contract in contracts().items():
        names = ", ".join(f'"{column["name"]}"' for column in contract["columns"])
        written = state / f"exports/raw/{table}.parquet"
        query = "select {} from {} order by all"
        as_text = query.format(f"columns(*)::varchar from (select {names}", "{})")
        assert marts.read(state, as_text.format(f"'{written}'")) == marts.read(state, as_text.format(f"marts.{table}"))
        assert pyarrow.parquet.read_schema(written).names == [column["name"] for column in contract["columns"]]
    raw = pyarrow.parquet.read_table(state / "exports/raw/discrepancies.parquet").column("left_value").to_pylist()
    assert sorted(raw) == sorted(marts.HOSTILE)


def test_each_file_says_of_which_run_it_is_and_the_raw_one_that_it_is_raw(state):
    metadata = pyarrow.parquet.read_metadata(state / "exports/raw/runs.parquet").metadata
    assert metadata[b"run_id"] == marts.RUN["run_id"].encode()
    assert metadata[b"about"].startswith(b"RAW, not for spreadsheets")
    book = openpyxl.load_workbook(state / "exports/tallystick.xlsx")
    about = (state / "exports/README.txt").read_text()
    for told in (book["summary"]["A2"].value, book.properties.description, about):
        assert f"Run {marts.RUN['run_id']} as of 2026-03-09 03:00 UTC." in told
    assert "raw/             Every table as Parquet, RAW" in about


def test_a_csv_cell_is_what_is_stored_but_for_what_makes_it_harmless(state):
    rows = {row["discrepancy_id"]: row for row in cells(state)}
    for number, text in enumerate(marts.HOSTILE):
        written = rows[f"{number:032x}"]["left_value"]
        assert written.replace("'", "") == printable(text).replace("'", "")
        if not re.search(r"(^|[;,|\s])[\s\"'`\u00a0\u200b]*[=+\-@＝＋－＠]|^[\t\r\n]", text):
            assert written == printable(text)
    assert {row["runs_seen"] for row in rows.values()} >= {"-3", "-2", "-1"}
    assert {row["value_at_risk"] for row in rows.values()} >= {"-5.00000000", "123456789012345678901234567890.00000000", ""}
    assert {row["first_seen_at"] for row in rows.values()} >= {"2026-03-03 03:00:00.123456", "infinity", ""}


def test_no_cell_begins_a_formula_whichever_separator_the_spreadsheet_takes(state):
    for row in cells(state):
        assert not [name for name in TEXTS if FORMULA.match(row[name]) and not row[name].lstrip(' \u00a0\u200b"`').startswith("'")]
        assert not [name for name in TEXTS if row[name].startswith(("\t", "\r", "\n", "="))]
    lines = (state / "exports/csv/discrepancies.csv").read_text(encoding="utf-8-sig")
    for separator in ";\t|":
        for line in re.split("[\r\n]+", lines):
            for field in line.split(separator):
                assert not re.match(r"[\s\"`\u00a0\u200b]*[=+@＝＋－＠-]", field), (separator, field[:80])
    assert not UNPRINTABLE.search(lines)


def test_csv_is_utf_8_that_excel_knows_as_such(state):
    assert (state / "exports/csv/discrepancies.csv").read_bytes().startswith(b"\xef\xbb\xbfdiscrepancy_id,")


@pytest.fixture(scope="module")
def book(state):
    return openpyxl.load_workbook(state / "exports/tallystick.xlsx")


def by_label(sheet) -> list[dict]:
    heading, *rows = sheet.iter_rows()
    return [dict(zip((cell.value for cell in heading), row, strict=True)) for row in rows]


def test_every_cell_of_the_workbook_is_what_is_stored(state, book):
    rows = {row["Difference id"].value: row for row in by_label(book["discrepancies"])}
    columns = contracts()["discrepancies"]["columns"]
    names = ", ".join(f"{c['name']}::varchar" if c["data_type"] == "timestamptz" else c["name"] for c in columns)
    for values in stored(state, names):
        row = rows[values[0]]
        for column, value in zip(columns, values, strict=True):
            meta = column["config"]["meta"]
            cell = row[f"{meta['label']} ({meta['unit']})" if meta.get("unit") in ("hours", "days", "seconds") else meta["label"]]
            assert cell.data_type != "f" and cell.hyperlink is None
            assert is_same(cell, column["data_type"], value), (column["name"], value, cell.value)


def is_same(cell, kind: str, value) -> bool:
    if value is None or value == "":
        return cell.value in (None, "")
    if kind == "varchar" and len(value) > workbook.MOST_CHARACTERS:
        return (
            re.fullmatch(rf"(says )?(x|\U0001f600)+ … cut: raw/ has all {len(value)} characters", cell.value) and len(cell.value) < 16_400
        )
    if kind == "varchar":
        return cell.data_type in "si" and cell.quotePrefix and unescape(cell.value) == printable(value)
    if kind == "timestamptz" and isinstance(cell.value, datetime):
        return abs((datetime.fromisoformat(value).replace(tzinfo=None) - cell.value).total_seconds()) < 0.001
    if kind == "timestamptz":
        has_no_place = not value[:5].endswith("-") or value < "1900" or "(BC)" in value
        return has_no_place and isinstance(cell.value, str) and cell.value[:10] == value[:10]
    if kind == "boolean":
        return cell.value is value
    if cell.data_type == "n":
        return Decimal(repr(cell.value)) == Decimal(str(value))
    return cell.value == str(value) and (not math.isfinite(value) or float(value) != value)


def test_headings_stay_in_sight_filter_and_are_explained(book):
    for name in workbook.SHEETS:
        sheet = book[name]
        assert sheet.freeze_panes == "A2" and sheet.auto_filter.ref.startswith("A1:") and sheet["A1"].font.bold
    explained = {(row["Table"].value, row["Column"].value): row for row in by_label(book["columns"])}
    assert len(explained) == sum(len(contract["columns"]) for contract in contracts().values())
    assert explained["discrepancies", "age_hours"]["Heading"].value == "Age"
    assert explained["discrepancies", "age_hours"]["Unit"].value == "hours"


def test_numbers_and_times_are_shown_as_what_they_are(book):
    row = next(row for row in by_label(book["discrepancies"]) if row["Record"].value == "=1+1")
    assert row["First seen"].number_format == "yyyy-mm-dd hh:mm" and row["First seen"].value.year == 2026
    assert (row["Value at risk"].number_format, row["Value at risk"].value) == ("#,##0.00", 0)
    assert (row["Runs that saw it"].number_format, row["Runs that saw it"].value) == ("#,##0", -3)


def test_a_sheet_that_is_cut_says_so(state, tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "MOST_ROWS", 5)
    marts.publish(tmp_path, discrepancies=marts.hostile())
    write(tmp_path)
    book = openpyxl.load_workbook(tmp_path / "exports/tallystick.xlsx")
    assert book["discrepancies"].max_row == 7
    assert book["discrepancies"]["A7"].value == f"… and {len(marts.HOSTILE) - 5} more rows, which csv/discrepancies.csv has"
    assert len(cells(tmp_path)) == len(marts.HOSTILE)
    told = {row[0].value: row[1].value for row in book["summary"].iter_rows() if row[0].value}
    assert told["discrepancies"] == len(marts.HOSTILE)


def again(state: Path, **changes: object) -> None:
    """The next run's tables."""
    marts.publish(state, runs=[marts.RUN | {"run_id": "000008-next", "run_seq": 8} | changes])


def of_run(state: Path) -> str:
    return re.search(r"Run (\S+)", (state / "exports/README.txt").read_text())[1]


def test_a_run_that_trusted_no_pair_leaves_them(tmp_path):
    write(marts.publish(tmp_path))
    again(tmp_path, verdict="not trustworthy")
    write(tmp_path)
    assert of_run(tmp_path) == marts.RUN["run_id"]


def test_of_a_run_that_trusted_one_pair_they_name_the_other(tmp_path):
    marts.publish(tmp_path, runs=[marts.RUN, marts.RUN | {"reconciliation": "contracts", "verdict": "not trustworthy"}])
    write(tmp_path)
    told = openpyxl.load_workbook(tmp_path / "exports/tallystick.xlsx")["summary"]["A2"].value
    assert "Not trusted in it, and so as of the last run in which they were: contracts." in told


KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines import exports
module, name = {target!r}
real = getattr(module := sys.modules[module], name)
def killed(*arguments, **more):
    if {after}:
        real(*arguments, **more)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, name, killed)
exports.write(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("target", "after", "expected"),
    [
        (("pipelines.exports", "write_csv"), False, "old"),
        (("pipelines.exports", "write_workbook"), True, "old"),
        (("os", "replace"), False, "old"),
        (("os", "replace"), True, "new"),
    ],
    ids=["in the middle", "before the readme", "before the swap", "after the swap"],
)
def test_killed_they_are_all_old_or_all_new(tmp_path, target, after, expected):
    write(marts.publish(tmp_path))
    again(tmp_path)
    script = KILLED.format(target=target, after=after)
    assert subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT).returncode == -signal.SIGKILL
    run_id = marts.RUN["run_id"] if expected == "old" else "000008-next"
    assert of_run(tmp_path) == run_id
    assert pyarrow.parquet.read_metadata(tmp_path / "exports/raw/runs.parquet").metadata[b"run_id"].decode() == run_id
    assert openpyxl.load_workbook(tmp_path / "exports/tallystick.xlsx")
    write(tmp_path)
    assert of_run(tmp_path) == "000008-next"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["exports", "warehouse.duckdb", (tmp_path / "exports").readlink().name]
    )


def test_a_full_disk_leaves_them_and_is_told(tmp_path, monkeypatch):
    write(marts.publish(tmp_path))
    again(tmp_path)
    monkeypatch.setattr("pipelines.exports.write_workbook", full)
    with pytest.raises(Failure, match=r"No space left.*/exports was left as it was; mend it and run tallystick publish\."):
        write(tmp_path)
    assert of_run(tmp_path) == marts.RUN["run_id"]
    assert len(list(tmp_path.iterdir())) == 3


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_copy_of_the_state_folder_whose_link_became_a_folder_goes_on(tmp_path):
    (tmp_path / "exports/raw").mkdir(parents=True)
    write(marts.publish(tmp_path))
    assert (tmp_path / "exports").is_symlink() and of_run(tmp_path) == marts.RUN["run_id"]


def test_the_catalogue_says_which_tables_there_are(tmp_path):
    marts.publish(tmp_path)
    with public.opened(tmp_path) as connection:
        assert [table.name for table in public.tables(connection)] == sorted(contracts())
        assert all(column.description for table in public.tables(connection) for column in table.columns)
