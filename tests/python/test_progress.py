"""What a person sees while a run goes on: on a terminal, and in a log."""

import os
import pty
import subprocess
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from pipelines import progress
from pipelines.evidence import Pulled

HIDDEN_CURSOR = b"\x1b[?25l"
BEGAN = datetime(2026, 3, 3, 3, tzinfo=UTC)


def pulled(fetched: int, declared_total: int | None = None, pages: int = 0) -> Pulled:
    finished_at = BEGAN + timedelta(seconds=4)
    return Pulled(
        "crm", "deals", "sql", fetched=fetched, declared_total=declared_total, pages=pages, started_at=BEGAN, finished_at=finished_at
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pulled(12_000, 48_000, 120), "crm deals: 12,000 of 48,000 records (25 %), 120 pages, 3,000/s"),
        (pulled(12_000, None, 120), "crm deals: 12,000 records, 120 pages, 3,000/s"),
        (pulled(12_000), "crm deals: 12,000 records, 3,000/s"),
        (pulled(3, 0), "crm deals: 3 records, 1/s"),
    ],
)
def test_a_table_is_told_by_pages_records_rate_and_percent(table, said):
    assert progress.lines([table, Pulled("crm", "customers", "sql")]) == [said]


def test_a_log_is_told_now_and_then(monkeypatch):
    written = StringIO()
    with progress.shown(Console(file=written), quiet=False) as plain:
        plain.step("pulling both sides")
        plain.pulled([pulled(5)])
        assert written.getvalue() == "pulling both sides …\n"
        monkeypatch.setattr(progress, "SPEAK_EVERY", 0)
        plain.pulled([pulled(5)])
    assert written.getvalue() == "pulling both sides …\ncrm deals: 5 records, 1/s\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_a_terminal_shows_how_far_the_pull_is_unless_it_is_to_be_quiet(world, quiet):
    shown, terminal = pty.openpty()
    with subprocess.Popen(
        world.command("reconcile", *(["--quiet"] if quiet else [])),
        env=world.environment(TERM="xterm", COLUMNS="120"),
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    ):
        os.close(terminal)
        seen = b""
        while piece := read(shown):
            seen += piece
    os.close(shown)
    assert "customers crm 1,180 billing 1,224" in seen.decode()
    assert ("crm customers: 1,366 of 1,366 records (100 %)" in seen.decode()) is not quiet
    assert (HIDDEN_CURSOR in seen) is not quiet


def read(terminal: int) -> bytes:
    """Linux gives an error where nobody holds the other end."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
