"""docs/splink.md: its script, run as a person would, on both conformed sides of a pair without a shared key."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest
from candidates import Record
from companies import world as companies
from conftest import ROOT
from engine import Engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Holds the page's script, and the state of a project whose sides know nothing of each other's keys."""
    folder = tmp_path_factory.mktemp("splink")
    (folder / "state").mkdir()
    [script] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/splink.md").read_text(), re.DOTALL)
    (folder / "suggest_keys.py").write_text(script)
    records, _ = companies(1500, seed=2)
    of_crm = [as_exported(record) | {"company": record.name} for record in records if record.side == "left"]
    of_billing = [as_exported(record) | {"name": record.name} for record in records if record.side == "right"]
    with Engine() as engine:
        engine.night("2026-03-03T03:00:00Z", crm={"customers": of_crm}, billing={"customers": of_billing})
        engine.connection.execute(f"attach '{folder}/state/snapshot.duckdb' as pulled; create schema pulled.staging")
        for side in ("customers_in_crm", "customers_in_billing"):
            engine.connection.execute(f"create table pulled.staging.{side} as from snapshot.staging.{side}")
    return folder


def as_exported(record: Record) -> dict:
    number = int(record.record_key.removeprefix("L-").removeprefix("R-"))
    return {"customer_number": record.record_key, "email": record.email, "country": ["DE", "AT", "CH"][number % 3]}


def test_the_script_writes_rows_of_key_map_that_are_right(folder):
    done = subprocess.run([sys.executable, "suggest_keys.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = list(csv.reader(done.stdout.splitlines()))
    _, truth = companies(1500, seed=2)
    suggested = {(left, right) for _, left, right, _ in rows}
    assert len(suggested) == len(rows) == len({left for left, _ in suggested}) == len({right for _, right in suggested})
    assert len(suggested - truth) <= 0.02 * len(rows)
    assert len(suggested & truth) >= 0.2 * len(truth)
