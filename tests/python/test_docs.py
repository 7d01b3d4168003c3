"""What the documentation shows is what there is: its queries run, each cause has a page, adding-a-pair.md adds a pair."""

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import NOT_THE_PROJECT, ROOT, World, new_world
from engine import Engine

DOCS = ROOT / "docs"
JUDGEMENT = (DOCS / "judgement.md").read_text()
PAGES = [DOCS / f"{page}.md" for page in ("judgement", "messages", "response", "tables")]
OF_THE_WAREHOUSE = [*PAGES, *sorted(DOCS.glob("buckets/*.md")), *sorted(DOCS.glob("causes/*.md"))]
CAUSES = sorted(path.stem for path in DOCS.glob("causes/*.md"))
QUERIES = [
    pytest.param(query, id=f"{path.relative_to(DOCS)}-{number}")
    for path in OF_THE_WAREHOUSE
    for number, query in enumerate(re.findall(r"```sql\n(.*?)```", path.read_text(), re.S), 1)
]
TABLES = {"crm": ("customers", "deals"), "billing": ("customers", "subscriptions")}
NOON = "2026-03-04T12:00:00Z"  # between the second night and the third
STEP = re.compile(r"(?:\*\*`([^`]+)`\*\*[^\n]*|Add to `([^`]+)`[^\n]*):\n\n```\w*\n(.*?)```", re.S)


def exports(folder: Path) -> dict[str, dict[str, list[dict]]]:
    return {system: {table: read(folder / system / f"{table}.csv") for table in tables} for system, tables in TABLES.items()}


def read(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def with_faults(tables: dict[str, dict[str, list[dict]]]) -> dict[str, dict[str, list[dict]]]:
    """A fault of each kind that the night does not have yet."""
    crm, billing = tables["crm"]["customers"], tables["billing"]["customers"]
    known = {row["customer_number"]: row for row in crm}
    billed = {row["customer_number"]: row for row in billing}
    made = {"created_at": NOON, "updated_at": NOON}
    known["C-00030"] |= {"status": "churned", "updated_at": NOON}
    known["C-00067"] |= {"email": "one@example.org", "updated_at": NOON}
    billed["C-00067"] |= {"email": "another@example.org", "updated_at": NOON}
    known["C-00010"] |= {"status": "on hold", "updated_at": NOON}
    billed["C-00752"] |= {"email": "kolibri.brewing@example.com", "updated_at": NOON}  # the CRM had left it first
    crm += [known["C-00001"] | made | {"customer_number": f"C-0900{number}", "email": f"{number}@example.org"} for number in (1, 2)]
    billing += [billed["C-00001"] | made | {"customer_number": "C-09003", "email": "2@example.org"}]
    subscription = {"customer_number": "C-09003", "subscription_id": "sub_9003", "contract_number": "K-2026-09003"}
    tables["billing"]["subscriptions"] += [tables["billing"]["subscriptions"][0] | subscription]
    tables["billing"] = {table: [row for row in rows if row["customer_number"] != "C-00069"] for table, rows in tables["billing"].items()}
    return tables


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> Iterator[Engine]:
    """The sample's two nights and a third: the one that judgement.md makes, with a fault of each other kind."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "sample").symlink_to(ROOT / "sample")
    script = re.search(r"```python\n(.*?)```", JUDGEMENT, re.S).group(1)
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
    nights = [exports(folder / night) for night in ("sample/night-1", "sample/night-2", "exports/night-3")]
    with Engine() as engine:
        for day, tables in zip(("03", "04", "05"), (*nights[:2], with_faults(nights[2])), strict=True):
            engine.night(f"2026-03-{day}T03:00:00Z", **tables)
            assert not engine.refusals()
        engine.connection.execute("use warehouse")
        yield engine


@pytest.mark.parametrize("query", QUERIES)
def test_a_documented_query_runs(judged, query):
    judged.rows(query)


def test_the_query_of_kinds_is_the_analysis():
    _, analysis = (ROOT / "analyses/kinds_by_how_people_decided.sql").read_text().split("\nwith\n")
    assert analysis in (DOCS / "response.md").read_text()


@pytest.mark.parametrize("page", CAUSES)
def test_a_causes_query_lists_that_cause(judged, page):
    heading, query = re.search(r"\A# (.*?)\n.*```sql\n(.*?)```", (DOCS / f"causes/{page}.md").read_text(), re.S).groups()
    assert page == heading.replace(",", "").replace(" ", "_")
    expected = judged.rows("select count(*) as differences from marts.discrepancies where cause = $1", heading)[0]["differences"]
    found = judged.rows(query)
    assert sum(row.get("differences", 1) for row in found) == expected > 0


def test_every_cause_has_its_page(judged):
    models = (ROOT / "models/judge/judgements.sql").read_text()
    words = set(re.findall(r"'([^']+)'", models.split("then cause_before")[1].split("end as cause,")[0]))
    told = {row["cause"] for row in judged.rows("select distinct cause from marts.discrepancies")}
    headings = {(DOCS / f"causes/{page}.md").read_text().splitlines()[0].removeprefix("# ") for page in CAUSES}
    assert told == headings <= words


def test_the_worked_record_is_as_told(judged):
    query, told = re.search(r"```sql\n([^`]*)```\n\n```\n(.*?)```", JUDGEMENT, re.S).groups()
    (row,) = judged.rows(f"select columns(*)::varchar from ({query})")
    assert [f"{name} = {value}" for name, value in row.items()] == [line.strip() for line in told.splitlines()]


def test_the_index_links_every_page():
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - {"index.md"}
    assert pages <= set(re.findall(r"\]\(([^)#]+)\)", (DOCS / "index.md").read_text()))


def test_every_link_leads_somewhere():
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for link in re.findall(r"\]\(([^):#]+\.md)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.fixture(scope="module")
def second_pair(tmp_path_factory) -> World:
    """A checkout in which somebody followed adding-a-pair.md to the letter."""
    folder = tmp_path_factory.mktemp("second_pair")
    shutil.copytree(ROOT, folder / "project", ignore=NOT_THE_PROJECT)
    world = new_world(folder / "world", folder / "project")
    for new, old, block in STEP.findall((DOCS / "adding-a-pair.md").read_text()):
        path = world.project / (new or old)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block if new else added(path, block))
    subprocess.run([sys.executable, "exports/make_helpdesk.py"], cwd=world.project, check=True)
    return world


def added(path: Path, block: str) -> str:
    """At the end, or in dbt_project.yml behind the last pair."""
    text = path.read_text()
    if path.name != "dbt_project.yml":
        return text.rstrip("\n") + "\n" + block
    pairs, rest = text.split("\n\n  # Each default beside its reason.")
    return f"{pairs}\n{block}\n  # Each default beside its reason.{rest}"


def test_a_pair_is_added_as_the_page_says(second_pair):
    ran = second_pair.reconcile("--quiet")
    assert ran.code == 0, ran.err
    page = (DOCS / "adding-a-pair.md").read_text()
    for line in re.findall(r"```\n(.*?)```", page.split("## 6. Run it")[1], re.S)[0].splitlines():
        assert line in ran.out
    causes = second_pair.query("select distinct cause from marts.discrepancies where reconciliation = 'organisations'")
    assert causes == [("unknown",)]
