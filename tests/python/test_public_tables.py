"""What is said of the public tables: every column has its description, label and unit, each table its readers, and dbt's page shows it."""

import copy
import subprocess
from pathlib import Path

import pytest
import yaml
from browser import opened
from conftest import ROOT, copy_project

from pipelines.public import contracts

NUMBERS = ("bigint", "integer", "double", "decimal")
UNITS = {"records", "differences", "values", "writes", "runs", "times", "pairs", "share", "currency", "hours", "days", "seconds", "none"}


def lacking(tables: dict[str, dict]) -> list[str]:
    found = []
    for table, contract in tables.items():
        found += [table] * (not contract.get("description"))
        for column in contract["columns"]:
            meta = column.get("config", {}).get("meta", {})
            is_number = column["data_type"].startswith(NUMBERS)
            is_told = column.get("description") and meta.get("label") and set(meta) <= {"label", "unit"}
            if not is_told or (meta.get("unit") not in UNITS if is_number else "unit" in meta):
                found.append(f"{table}.{column['name']}")
        labels = [column.get("config", {}).get("meta", {}).get("label") for column in contract["columns"]]
        found += [f"{table}: {label} twice" for label in {label for label in labels if labels.count(label) > 1}]
    return found


def test_every_public_column_has_a_description_a_label_and_where_it_is_a_number_a_unit():
    assert lacking(contracts()) == []


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("description", {"description": ""}),
        ("no meta", {"config": {}}),
        ("no unit", {"config": {"meta": {"label": "Age"}}}),
        ("no such unit", {"config": {"meta": {"label": "Age", "unit": "fortnights"}}}),
        ("a word nothing reads", {"config": {"meta": {"label": "Age", "unit": "hours", "units": "hours"}}}),
        ("unit of a text", {"data_type": "varchar"}),
    ],
)
def test_what_is_lacking_is_found(place, change):
    tables = copy.deepcopy(contracts())
    next(column for column in tables["discrepancies"]["columns"] if column["name"] == "age_hours").update(change)
    assert lacking(tables) == ["discrepancies.age_hours"]


def test_two_columns_under_one_heading_are_found():
    tables = copy.deepcopy(contracts())
    tables["sync_lag"]["columns"][1]["config"]["meta"]["label"] = "Pair"
    assert lacking(tables) == ["sync_lag: Pair twice"]


def test_bi_is_said_to_read_every_public_table():
    exposures = yaml.safe_load((ROOT / "models/marts/_marts__exposures.yml").read_text())["exposures"]
    read = {exposure["name"]: exposure["depends_on"] for exposure in exposures}
    assert read["bi"] == [f"ref('{table}')" for table in sorted(contracts())]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Of a fresh clone, in which nothing was ever run."""
    project = copy_project(ROOT, tmp_path_factory.mktemp("docs") / "project")
    made = subprocess.run(["make", "-o", ".venv/.ready", f"BIN={ROOT / '.venv/bin'}", "docs"], cwd=project, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert not (project / "state").exists()
    return project / "target/docs.html"


def test_dbts_page_opens_from_disk_and_shows_types_labels_and_units(page):
    with opened(page.as_uri() + "#!/model/model.tallystick.discrepancies") as (shown, requests, errors):
        column = shown.locator("tr", has=shown.get_by_text("age_hours", exact=True)).first
        assert "double" in column.inner_text() and "Hours from the first sighting" in column.inner_text()
        column.click()
        for told in ("Age", "hours"):
            shown.get_by_text(told, exact=True).first.wait_for(timeout=10_000)
        shown.goto(page.as_uri() + "#!/exposure/exposure.tallystick.bi")
        shown.get_by_text("Every public table, as files in state/exports/").first.wait_for()
        assert requests == [page.as_uri()] and errors == []
