"""docs/bi/superset.py against a Superset of the test's own, on the sample's two nights: `make superset`."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import requests
import servers
from conftest import ROOT, Night, World
from playwright.sync_api import sync_playwright
from servers import free_port
from test_analyses import copy

pytestmark = pytest.mark.superset
BIN = ROOT / ".venv/superset/bin"
RECIPE = ROOT / "docs/bi/superset.py"
SCREENSHOT = ROOT / "target/superset.png"
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
AT_THIS_MOMENT = "hours_old"
SQL = {
    "Can I trust it?": """
        select reconciliation, 'trusted', epoch_ms(max(as_of)), epoch_ms(max(as_of)), null
        from marts.runs where verdict = 'trusted' group by all
    """,
    "What is open, and why": "select cause, reconciliation, count(*) from marts.discrepancies where status = 'open' group by all",
    "Open after each trusted run": "select epoch_ms(as_of), reconciliation, sum(still_open)::bigint from marts.drift_daily group by all",
    "What does it cost?": (ROOT / "analyses/what_does_it_cost.sql").read_text(),
}


@dataclass
class Superset:
    address: str
    password: str
    session: requests.Session

    def make(self, uri: str) -> str:
        """The recipe as a person runs it. Returns the dashboard's address."""
        ran = subprocess.run(
            [sys.executable, RECIPE, self.address, "admin", uri],
            env=os.environ | {"SUPERSET_PASSWORD": self.password},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout.strip()

    def api(self, method: str, path: str, **body) -> requests.Response:
        return self.session.request(method, f"{self.address}/api/v1/{path}", json=body or None, timeout=120)

    def charts(self) -> dict[str, list[tuple]]:
        """What each chart answers now, past every cache."""
        found = self.api("get", "chart/").json()["result"]
        answers = {chart["slice_name"]: self.api("get", f"chart/{chart['id']}/data/?force=true").json()["result"][0] for chart in found}
        return {
            name: sorted(tuple(row[column] for column in data["colnames"] if column != AT_THIS_MOMENT) for row in data["data"])
            for name, data in answers.items()
        }


@pytest.fixture(scope="module")
def warehouse(second_night: Night, tmp_path_factory) -> World:
    return second_night.world.copy(tmp_path_factory.mktemp("bi"))


@pytest.fixture(scope="module")
def superset(tmp_path_factory) -> Iterator[Superset]:
    home, port, password = tmp_path_factory.mktemp("superset"), free_port(), secrets.token_urlsafe()
    config = home / "superset_config.py"
    config.write_text(
        f"SECRET_KEY = {secrets.token_urlsafe(42)!r}\nSQLALCHEMY_DATABASE_URI = 'sqlite:///{home}/superset.db'\nTALISMAN_ENABLED = False\n"
    )
    environment = os.environ | {
        "SUPERSET_HOME": str(home),
        "SUPERSET_CONFIG_PATH": str(config),
        "FLASK_APP": "superset.app:create_app()",
        "TZ": "UTC",
    }
    admin = ["--username", "admin", "--firstname", "A", "--lastname", "B", "--email", "a@example.org", "--password", password]
    for command in (["db", "upgrade"], ["fab", "create-admin", *admin], ["init"]):
        done = subprocess.run([BIN / "superset", *command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [BIN / "superset", "run", "--with-threads", "-h", "127.0.0.1", "-p", str(port)], env=environment, stdout=log, stderr=log
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/health", process, home / "log")
        session = requests.Session()
        login = {"username": "admin", "password": password, "provider": "db"}
        token = session.post(f"{address}/api/v1/security/login", json=login, timeout=60).json()["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"
        session.headers["X-CSRFToken"] = session.get(f"{address}/api/v1/security/csrf_token/", timeout=60).json()["result"]
        yield Superset(address, password, session)
    finally:
        process.terminate()
        process.wait(30)


def wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    ends_at = time.monotonic() + 120
    while time.monotonic() < ends_at and process.poll() is None:
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.5)
    pytest.fail(f"Superset did not start: {log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def dashboard(superset: Superset, warehouse: World) -> str:
    return superset.make(f"duckdb:///{warehouse.warehouse}")


def expected(world: World) -> dict[str, list[tuple]]:
    """The same by SQL. Superset's JSON has numbers with a point as floats."""
    rows = {name: world.query(sql) for name, sql in SQL.items()}
    return {name: sorted(tuple(plain(value) for value in row) for row in found) for name, found in rows.items()}


def plain(value: object) -> object:
    return value if isinstance(value, (str, int, type(None))) else float(value)


def test_each_chart_shows_what_sql_says(superset, dashboard, warehouse):
    assert superset.charts() == expected(warehouse)


def test_run_again_it_makes_nothing_twice(superset, dashboard, warehouse):
    assert superset.make(f"duckdb:///{warehouse.warehouse}") == dashboard
    assert [superset.api("get", f"{kind}/").json()["count"] for kind in ("database", "dataset", "chart", "dashboard")] == [1, 4, 4, 1]


def test_the_dashboard_draws_them(superset, dashboard):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 2200})
        page.goto(f"{superset.address}/login/")
        page.fill("input#username", "admin")
        page.fill("input#password", superset.password)
        page.click("button[type=submit]")
        page.wait_for_url("**/welcome/**")
        page.goto(dashboard)
        page.wait_for_selector("table tbody tr", timeout=90_000)
        page.wait_for_function("document.querySelectorAll('canvas').length == 2", timeout=90_000)
        page.wait_for_timeout(2000)  # the charts' own animation
        SCREENSHOT.parent.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOT, full_page=True)
        answers = superset.charts()
        assert page.locator("table tbody tr").count() == len(answers["Can I trust it?"]) + len(answers["What does it cost?"])
        assert not page.get_by_text(re.compile("error", re.I)).count()
        browser.close()


def test_the_next_run_shows_without_a_restart(superset, dashboard, warehouse, first_night):
    """The file is replaced under Superset, as a run does it."""
    shutil.copy(first_night.warehouse, warehouse.folder / "next.duckdb")
    before = superset.charts()
    os.replace(warehouse.folder / "next.duckdb", warehouse.warehouse)
    assert superset.charts() == expected(first_night) != before


@pytest.mark.parametrize(
    "statement", ["select * from read_text('/etc/hostname')", "create table marts.mine (i integer)", "set enable_external_access = true"]
)
def test_it_reads_this_file_and_nothing_else(superset, dashboard, statement):
    (database,) = superset.api("get", "database/").json()["ids"]
    asked = {"database_id": database, "schema": "marts", "runAsync": False}
    assert superset.api("post", "sqllab/execute/", **asked, sql="select count(*) from marts.runs").ok
    answer = superset.api("post", "sqllab/execute/", **asked, sql=statement)
    assert not answer.ok, answer.text


def test_on_postgresql_it_says_the_same(superset, dashboard, warehouse):
    """The same dashboard, once the database it reads is the one that `[publish.postgres]` fills."""
    with servers.postgresql() as server, server.admin() as connection, duckdb.connect(warehouse.warehouse, read_only=True) as published:
        copy(published, "warehouse", connection, "marts")
        connection.execute(
            f"grant usage on schema marts to {servers.READER}; grant select on all tables in schema marts to {servers.READER}"
        )
        assert superset.make(server.url) == dashboard
        assert superset.charts() == expected(warehouse)
