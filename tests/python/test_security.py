"""Secrets stay out of every file, nothing calls home, data is never code, and the engine's door to the file system is shut."""

import csv
import os
import re
import tempfile
from pathlib import Path

import pytest
from conftest import Ran, World, copy_project, new_world

from pipelines import settings
from pipelines.failures import BadConfiguration

IN_FILE, IN_ENVIRONMENT = "canary-8d1f3c-in-a-file", "canary-41be77-in-the-environment"
HOSTILE = {
    "C-00001": "'; drop table marts.runs; --",
    "C-00002": "{{ env_var('HOME') }}{% set x = 1 %}",
    "C-00003": "\x1b[31mred\x1b]0;title\x07",
    "C-00005": "=cmd|' /C calc'!A0",
}
NO_NETWORK = """
import os, socket
real = socket.socket.connect
def refuse(self, address, *rest):
    if self.family == socket.AF_UNIX:
        return real(self, address, *rest)
    note(address)
def note(address, *rest, **more):
    with open(os.environ["CALLED"], "a") as calls:
        calls.write(f"{address}\\n")
    raise OSError(f"no network here: {address}")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = note
"""


@pytest.fixture(scope="module")
def bait(project_template, tmp_path_factory) -> tuple[World, Ran, Ran]:
    """Canary secrets, hostile values and no network: one run that is trusted, and one that fails with its working files left."""
    folder = tmp_path_factory.mktemp("bait")
    project = copy_project(project_template, folder / "project")
    (project / ".dlt/secrets.toml").write_text(f'[sources.crm]\napi_key = "{IN_FILE}"\n')
    (folder / "site").mkdir()
    (folder / "site/sitecustomize.py").write_text(NO_NETWORK)
    world = new_world(folder / "world", project)
    customers = world.crm / "customers.csv"
    with customers.open(newline="") as exported:
        records = list(csv.DictReader(exported))
    with customers.open("w", newline="") as changed:
        writer = csv.DictWriter(changed, records[0])
        writer.writeheader()
        writer.writerows(record | {"email": HOSTILE.get(record["customer_number"], record["email"])} for record in records)
    environment = {
        "PYTHONPATH": f"{project}{os.pathsep}{folder / 'site'}",
        "CALLED": str(folder / "called"),
        "SOURCES__CRM__API_KEY": IN_ENVIRONMENT,
        "SOURCES__BILLING__PASSWORD": IN_ENVIRONMENT,
        "DBT_ENV_SECRET_TOKEN": IN_ENVIRONMENT,
        "STRIPE_API_KEY": IN_ENVIRONMENT,
        "PUBLISH__POSTGRES__CREDENTIALS": f"postgresql://tallystick:{IN_ENVIRONMENT}@127.0.0.1:9/nobody-is-there",
    }
    trusted = world.reconcile(**environment)
    (world.billing / "subscriptions.csv").write_text("no,such,columns\n1,2,3\n")
    failed = world.reconcile(**environment)
    return world, trusted, failed


def test_a_run_without_network_works_and_calls_nobody(bait):
    world, trusted, failed = bait
    assert (trusted.code, failed.code) == (0, 3), trusted.err + failed.err
    assert not (world.folder.parent / "called").exists(), (world.folder.parent / "called").read_text()


def test_a_canary_secret_is_in_no_byte_that_was_written(bait):
    world, *runs = bait
    secrets = world.project / ".dlt/secrets.toml"
    written = [*world.state.rglob("*"), *(path for path in world.project.rglob("*") if "tests" not in path.parts)]
    files = [path for path in written if path.is_file() and path != secrets]
    assert any(path.name == "dbt.log" for path in files) and (world.state / "next/dlt").is_dir()
    assert any(path.name == "tallystick.xlsx" for path in files) and "PostgreSQL did not take the tables" in runs[0].err
    for canary in (IN_FILE, IN_ENVIRONMENT):
        assert [str(path) for path in files if canary.encode() in path.read_bytes()] == []
        assert not any(canary in run.out + run.err for run in runs)


def test_hostile_values_are_stored_verbatim_and_obeyed_nowhere(bait):
    world, trusted, _ = bait
    shown = dict(world.query("select record_key, left_value from marts.discrepancies where field = 'email' and record_key <= 'C-00005'"))
    assert shown == HOSTILE
    assert "\x1b" not in trusted.out + trusted.err


WRITTEN = Path(tempfile.gettempdir()) / f"tallystick-was-here-{os.getpid()}"
REACHING_OUT = {
    "reads_a_file": "select content as run_id from read_text('/etc/passwd')",
    "writes_a_file": "{{ config(pre_hook=\"copy (select 1) to '__WRITTEN__'\") }} select 1 as run_id",
    "unlocks_the_engine": "{{ config(pre_hook='set global enable_external_access = true') }} select 1 as run_id",
    "loads_an_extension": "{{ config(pre_hook='load httpfs') }} select 1 as run_id",
}


def test_no_model_can_reach_the_file_system(yesterday, project):
    yesterday.project = project
    before = yesterday.fingerprint()
    for name, sql in REACHING_OUT.items():
        (yesterday.project / f"models/trust/{name}.sql").write_text(sql.replace("__WRITTEN__", str(WRITTEN)))
    ran = yesterday.reconcile()
    assert (ran.code, yesterday.fingerprint()) == (1, before)
    assert "dbt failed in" in ran.err
    log = (yesterday.state / "logs/dbt.log").read_text()
    for name in REACHING_OUT:
        assert re.search(rf"ERROR creating sql table model snapshot\.trust\.{name}\b", log)
    assert "disabled by configuration" in log and "configuration has been locked" in log
    assert not WRITTEN.exists()


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("left: {system: crm, tables: [deals]}", 'left: {system: "crm\'; drop table x; --", tables: [deals]}'),
        ("left: {system: crm, tables: [deals]}", "left: {system: ../crm, tables: [deals]}"),
        ("left: {system: crm, tables: [deals]}", 'left: {system: crm, tables: ["deals\' as t; drop table x; --"]}'),
        ("    contracts:\n", '    "contracts\'; drop table x; --":\n'),
        ("    contracts:\n", "    \"{{ env_var('HOME') }}\":\n"),
    ],
    ids=["system", "system with a path", "table", "pair", "pair with Jinja"],
)
def test_names_that_are_code_are_refused(yesterday, project, written, instead):
    yesterday.project = project
    before = yesterday.fingerprint()
    declared = project / "dbt_project.yml"
    assert written in declared.read_text()
    declared.write_text(declared.read_text().replace(written, instead))
    ran = yesterday.reconcile()
    assert (ran.code, yesterday.fingerprint()) == (2, before)
    assert ran.says()


@pytest.mark.parametrize("name", ['x"; drop table y; --', "{{ env_var('HOME') }}", "Customer-ID", "", "é"])
@pytest.mark.parametrize("kind", ["table", "column"])
def test_names_in_the_sources_that_are_code_are_refused(tmp_path: Path, monkeypatch, kind, name):
    sources = tmp_path / "models/staging/evil/_evil__sources.yml"
    sources.parent.mkdir(parents=True)
    table, column = (repr(name), "ok") if kind == "table" else ("ok", repr(name))
    sources.write_text(f"sources: [{{name: evil, tables: [{{name: {table}, columns: [{{name: {column}}}]}}]}}]".replace("\\'", "''"))
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    settings.needed_columns.cache_clear()
    with pytest.raises(BadConfiguration, match="in the sources of evil is not a plain lower-case name"):
        settings.needed_columns("evil")
    settings.needed_columns.cache_clear()
