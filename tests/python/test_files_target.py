"""Import files: exact, whole, and no key in two of them."""

import csv
import os
from dataclasses import replace

import pytest

from pipelines.targets import files
from pipelines.targets.files import Files
from pipelines.targets.target import TargetSettings, Unavailable, Write

UPDATE = Write("a" * 32, "customers", "update", "C-1", "status", "active", "churned", run_id="000002-b", stated_key=" c-1 ")


@pytest.fixture
def target(tmp_path, monkeypatch) -> Files:
    monkeypatch.setenv("TARGETS__CRM__PATH", str(tmp_path / "exports"))
    return Files(TargetSettings("crm"))


def rows(target: Files) -> dict[str, list[dict]]:
    return {file.name: list(csv.DictReader(file.open(newline="", encoding="utf-8"))) for file in sorted(target.folder.iterdir())}


def test_a_row_says_what_changes_by_the_key_that_the_system_knows(target):
    assert target.refuses(UPDATE) is None
    target.write(UPDATE)
    assert rows(target) == {
        "000002-b-crm-customers.csv": [
            {"idempotency_key": "a" * 32, "operation": "update", "record_key": " c-1 ", "field": "status",
             "from_value": "active", "to_value": "churned"},
        ]
    }  # fmt: skip


def test_each_pair_has_its_file_and_each_run(target):
    target.write(UPDATE)
    target.write(replace(UPDATE, idempotency_key="b", reconciliation="contracts", field="plan"))
    target.write(replace(UPDATE, idempotency_key="c", run_id="000003-c"))
    assert {name: len(found) for name, found in rows(target).items()} == {
        "000002-b-crm-customers.csv": 1, "000002-b-crm-deals.csv": 1, "000003-c-crm-customers.csv": 1,
    }  # fmt: skip


def test_a_key_never_stands_in_two_files(target):
    target.write(UPDATE)
    assert target.write(UPDATE) == "stands in 000002-b-crm-customers.csv"
    assert target.write(replace(UPDATE, run_id="000003-c")) == "stands in 000002-b-crm-customers.csv"
    assert sum(map(len, rows(target).values())) == 1


def test_a_record_to_create_has_a_row_a_column_that_has_a_value(target):
    record = {"status": "active", "email": "a@example.org", "country": None}
    target.write(replace(UPDATE, operation="create", field="", stated_key=None, record=record))
    assert [(row["record_key"], row["field"], row["to_value"]) for row in rows(target)["000002-b-crm-customers.csv"]] == [
        ("C-1", "status", "active"), ("C-1", "email", "a@example.org"),
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["=1+1", "00123", 'a "quoted", one', "two\nlines", "two\r\nlines", " blank ", "Zoë 🦊", "\x07"])
def test_a_value_is_exact(target, value):
    target.write(replace(UPDATE, to_value=value))
    target.write(replace(UPDATE, idempotency_key="b", to_value="later"))
    assert [row["to_value"] for row in rows(target)["000002-b-crm-customers.csv"]] == [value, "later"]


def test_what_could_not_be_written_leaves_the_file_as_it_was(target, monkeypatch):
    target.write(UPDATE)
    before = rows(target)

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        target.write(replace(UPDATE, idempotency_key="b"))
    monkeypatch.undo()
    (target.folder / "000002-b-crm-customers.part").unlink()
    assert rows(target) == before


def test_nobody_else_can_read_it(target):
    target.write(UPDATE)
    assert {path.stat().st_mode & 0o077 for path in (target.folder, *target.folder.iterdir())} == {0}


def test_it_goes_into_the_state_folder_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path))
    assert files.Files(TargetSettings("billing")).folder == tmp_path / "fixes"
