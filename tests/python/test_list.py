"""`tallystick list`: every form says the same, most pressing first, and no value of the data can do harm in it."""

import csv
import json
import os
import pty
import re
import subprocess
from datetime import datetime
from io import StringIO

import duckdb
import pytest
from conftest import World
from markdown_it import MarkdownIt
from rich.console import Console

from pipelines import listing, show
from pipelines.failures import BadConfiguration
from pipelines.listing import HEADINGS, Format, code

ANY = dict.fromkeys(("status", "owner", "pair", "bucket", "field", "cause")) | {"overdue": False}

HOSTILE = {
    "a terminal": "\x1b[31mred\x1b]0;title\x07\x9b2J",
    "right to left": "evil\u202efdp.exe\u2066",
    "lines": "one\r\ntwo\tthree\u2028four",
    "a table": r"a|b\|c\\|d",
    "Markdown": "**bold** [link](https://evil.example) ![x](y) <b>html</b> @everyone # ~~no~~",
    "code": "`` ` ``` <img src=x onerror=alert(1)>",
    "a formula": "=cmd|' /C calc'!A0",
    "CSV": 'one, "two"',
}


@pytest.fixture(scope="module")
def listed(first_night: World, tmp_path_factory) -> World:
    """The sample's first night, with a hostile value a difference, one that is overdue, one that is accepted and one of nobody."""
    world = World(tmp_path_factory.mktemp("listed"))
    world.state.mkdir()
    world.warehouse.write_bytes(first_night.warehouse.read_bytes())
    with duckdb.connect(world.warehouse) as connection:
        those = "select discrepancy_id from marts.discrepancies where field = 'status' and status = 'open' order by record_key limit 20"
        ids = [found for (found,) in connection.execute(those).fetchall()]
        set_one = "update marts.discrepancies set {} where discrepancy_id = $id"
        for found, value in zip(ids, HOSTILE.values(), strict=False):
            connection.execute(set_one.format("left_value = $value"), {"id": found, "value": value})
        connection.execute(set_one.format("is_overdue = true, due_at = '2026-02-28 03:00:00+00'"), {"id": ids[-1]})
        connection.execute(set_one.format("status = 'accepted'"), {"id": ids[-3]})
        for table in ("discrepancies", "discrepancy_history"):
            connection.execute(f"update marts.{table} set owner = null where discrepancy_id = $id", {"id": ids[-2]})
    return world


def objects(world: World, *filters: str) -> list[dict]:
    ran = world.run("list", "--format", "json", *filters)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_json_is_the_table_with_iso_times(listed):
    stored = listed.query("select * from marts.discrepancies order by discrepancy_id")
    names = [name for (name,) in listed.query("select column_name from (describe marts.discrepancies)")]
    found = sorted(objects(listed), key=lambda row: row["discrepancy_id"])
    assert [list(row) for row in found] == [names] * len(stored)
    for row, values in zip(found, stored, strict=True):
        for name, value in zip(names, values, strict=True):
            read = datetime.fromisoformat(row[name]) if isinstance(value, datetime) else row[name]
            assert read == (float(value) if name == "value_at_risk" and value is not None else value), name


def test_csv_is_the_same_values_to_the_byte(listed):
    written = subprocess.run(listed.command("list", "--format", "csv"), env=listed.environment(), capture_output=True, check=True).stdout
    from_csv = list(csv.DictReader(StringIO(written.decode(), newline="")))
    assert [{name: as_text(value) for name, value in row.items()} for row in objects(listed)] == [
        row | {"value_at_risk": as_text(float(row["value_at_risk"])) if row["value_at_risk"] else ""} for row in from_csv
    ]
    assert {row["left_value"] for row in from_csv} >= set(HOSTILE.values())


def as_text(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_the_most_pressing_comes_first(listed):
    found = objects(listed)
    assert [row["is_overdue"] for row in found] == [True] + [False] * (len(found) - 1)
    waiting = [row["status"] in ("open", "quarantined") for row in found]
    assert waiting == sorted(waiting, reverse=True)
    for status in ({"open", "quarantined"}, {"in_flight", "accepted"}):
        named = [row for row in found if row["status"] in status]
        due = [(row["due_at"] or "9999", row["currency"] or "~", -(row["value_at_risk"] or -1)) for row in named][1:]
        assert due == sorted(due)


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({"status": "open", "owner": "Finance"}, "status = 'open' and owner = 'Finance'"),
        ({"owner": "nobody"}, "owner is null"),
        ({"pair": "contracts", "bucket": "right_only"}, "reconciliation = 'contracts' and bucket = 'right_only'"),
        ({"field": "status", "cause": "unknown"}, "field = 'status' and cause = 'unknown'"),
        ({"overdue": True}, "is_overdue"),
    ],
)
def test_a_filter_keeps_what_it_names(listed, capsys, filters, condition):
    expected = listed.query(f"select discrepancy_id from marts.discrepancies where {condition}")
    assert sorted((row["discrepancy_id"],) for row in json.loads(written(listed, capsys, filters).out)) == sorted(expected) != []


def written(world: World, capsys: pytest.CaptureFixture, filters: dict, form: Format = Format.json):
    """What is written without the command around it: out and err."""
    with duckdb.connect(world.warehouse, read_only=True) as connection:
        listing.write(connection, Console(), form, ANY | filters)
    return capsys.readouterr()


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"owner": "Fnance\x1b"}, "There is no owner 'Fnance�'; there are Finance, RevOps, nobody."),
        ({"pair": "contract"}, "There is no pair 'contract'; there are contracts, customers."),
        ({"field": "statuss"}, "There is no field 'statuss'; there are amount, country, "),
        ({"cause": "unkown"}, "There is no cause 'unkown'; there are unknown."),
    ],
)
def test_a_word_that_nothing_has_is_no_empty_list(listed, capsys, filters, says):
    with pytest.raises(BadConfiguration) as failure:
        written(listed, capsys, filters)
    assert str(failure.value).startswith(says)
    assert capsys.readouterr().out == ""


def test_a_status_that_there_is_not_is_told_with_those_there_are(listed):
    ran = listed.run("list", "--status", "closed")
    assert (ran.code, ran.out) == (2, "")
    assert all(status in ran.err for status in ("in_flight", "accepted", "quarantined"))


@pytest.mark.parametrize(("form", "empty"), [("table", ""), ("markdown", ""), ("json", "[]\n"), ("csv", "discrepancy_id,")])
def test_nothing_found_is_said_beside_the_list(first_night, capsys, form, empty):
    told = written(first_night, capsys, {"overdue": True}, Format(form))
    assert told.err == "Nothing is listed.\n"
    assert told.out.startswith(empty) and told.out.count("\n") == (1 if empty else 0)


def test_a_list_of_before_the_last_run_says_so_and_none_of_a_pair_never_trusted(listed, tmp_path):
    world = World(tmp_path)
    world.state.mkdir()
    world.warehouse.write_bytes(listed.warehouse.read_bytes())
    with duckdb.connect(world.warehouse) as connection:
        connection.execute(
            """
            insert into marts.runs
            select * replace (
                run_seq + 1 as run_seq, '000002-x' as run_id, if(reconciliation = 'contracts', 'untrusted', 'trusted') as verdict
            )
            from marts.runs
            """
        )
    ran = world.run("list", "--format", "json")
    assert ran.code == 0 and len(json.loads(ran.out)) > 100
    assert ran.err.startswith("contracts: the last run was not trusted; listed is what run 000001-") and "customers" not in ran.err
    with duckdb.connect(world.warehouse) as connection:
        connection.execute("update marts.runs set verdict = 'untrusted' where reconciliation = 'contracts'")
    ran = world.run("list", "--format", "json")
    assert (ran.code, ran.out) == (4, "")
    assert ran.says("No run of contracts was ever trusted, so nothing is known of it")
    assert world.run("list", "--pair", "customers").code == 0


@pytest.mark.parametrize(("form", "width"), [("table", 110), ("csv", 80), ("markdown", 80)])
def test_on_a_terminal_nothing_is_obeyed(listed, form, width):
    seen = on_a_terminal(listed, width, "list", "--format", form)
    lines = without_colours(seen).splitlines() if form == "table" else [seen]
    for character in ("\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\u2028"):
        assert not any(character in line for line in lines)
    assert "red" in seen
    if form == "table":
        assert max(map(len, lines)) <= width


def on_a_terminal(world: World, width: int, *command: str) -> str:
    shown, terminal = pty.openpty()
    environment = world.environment(TERM="xterm", COLUMNS=str(width))
    process = subprocess.Popen(
        world.command(*command), env=environment, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, cwd=world.project
    )
    os.close(terminal)
    seen = b""
    while True:
        try:
            piece = os.read(shown, 65536)
        except OSError:  # Linux's end of a terminal
            break
        if not piece:
            break
        seen += piece
    os.close(shown)
    assert process.wait() == 0
    return seen.decode()


def without_colours(seen: str) -> str:
    """Rich's own are of numbers that hostile values here do not have."""
    return re.sub(r"\x1b\[(0|1|31)m", "", seen.replace("\r\n", "\n"))


def test_markdown_is_a_table_in_which_every_value_is_text(listed):
    ran = listed.run("list", "--format", "markdown", "--field", "status")
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(ran.out)
    assert [token.type for token in tokens if token.level == 0] == ["table_open", "table_close"]
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == len(HEADINGS) * (1 + len(objects(listed, "--field", "status")))
    inside = {child.type for cell in cells for child in cell.children}
    assert inside == {"text", "code_inline"}
    told = {child.content for cell in cells for child in cell.children if child.type == "code_inline"}
    assert {show.plain(value) for value in HOSTILE.values()} <= told


@pytest.mark.parametrize("value", [*HOSTILE.values(), "`", "``", " ", "|", "\\", "\\|", "`|`", "plain"])
def test_a_value_survives_its_code_span(value):
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(f"| a |\n|---|\n| {code(value)} |\n")
    cell = [token for token in tokens if token.type == "inline"][1]
    assert [(child.type, child.content) for child in cell.children] == [("code_inline", show.plain(value))]


@pytest.mark.parametrize("form", ["table", "csv"])
def test_who_stops_reading_ends_it_quietly(listed, form):
    command = " ".join(f"'{word}'" for word in listed.command("list", "--format", form))
    piped = ["bash", "-c", f'{command} | head -c 1; exit "${{PIPESTATUS[0]}}"']
    ran = subprocess.run(piped, env=listed.environment(), cwd=listed.project, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_row_stays_one_line_where_no_terminal_has_a_width(listed):
    lines = listed.run("list", "--pair", "contracts", COLUMNS="40").out.splitlines()
    assert len(lines) == 1 + len(objects(listed, "--pair", "contracts"))


@pytest.mark.parametrize("width", [80, 120])
def test_no_number_of_the_summary_is_cut_short(listed, width):
    """Of ten million records as of ten: what does not fit goes on below."""
    with duckdb.connect(listed.warehouse) as connection:
        connection.execute("begin")
        connection.execute("update marts.runs set left_in_scope = 12345678, right_in_scope = 87654321, matched = 11223344")
        console = Console(file=StringIO(), width=width)
        show.summary(connection, console)
        connection.execute("rollback")
    written = console.file.getvalue()
    assert "…" not in written
    assert all(number in written for number in ("12,345,678", "87,654,321", "11,223,344"))
