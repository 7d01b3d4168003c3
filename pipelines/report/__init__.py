"""The report: one HTML file that opens from disk, asks nobody for anything and runs no script but its own."""

import base64
import gzip
import os
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path

import duckdb
import jinja2
from markupsafe import Markup

from pipelines import run, settings, show
from pipelines.failures import OF_THIS_MACHINE, Failure, first_line
from pipelines.report import charts

NAME = "report.html"
HERE = Path(__file__).parent
QUERIES = settings.ROOT / "analyses/report"
SECTIONS = ("runs", "news", "gone", "by_cause", "by_kind", "by_owner", "by_age", "money", "money_by_cause", "trend", "waves",
            "trust_checks", "notes")  # fmt: skip
MOST_BYTES = 1_450_000  # a mail or a chat still takes it
MOST_ROWS = 40_000  # more can't fit into it: an id alone takes 22 bytes
MOST_LINES = 200  # of a table of sums
STALE_AFTER = timedelta(hours=36)


def write(state: Path) -> None:
    """Writes state/report.html from what is published. Raises Failure; then the file is what it was before."""
    report = state / NAME
    try:
        with run.published() as connection:
            page = composed(connection, settings.fixed_clock() or datetime.now(UTC))
        put(report, page)
    except (*OF_THIS_MACHINE, duckdb.Error, jinja2.TemplateError, ValueError) as error:  # ValueError: Vega's own
        raise Failure(
            f"The report was not written: {first_line(error)}.",
            f"{report} is as it was, the tables are published; mend it and run make report.",
        ) from error


def put(file: Path, text: str) -> None:
    beside = file.with_suffix(".next")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as page:
        page.write(text)
    os.replace(beside, file)


def composed(connection: duckdb.DuckDBPyConnection, now: datetime) -> str:
    found = {name: show.rows(connection, query(name)) for name in SECTIONS}
    style, script = (asset(name) for name in ("style.css", "page.js"))
    given = found | {
        "now": now,
        "stale_after": STALE_AFTER,
        "most": MOST_LINES,
        "drawn": drawn(found),
        "failed": [check for check in found["trust_checks"] if not check["passed"]],
        "style": style,
        "script": script,
        "policy": policy(style, script),
        "total": connection.execute("select count(*) from marts.discrepancies").fetchone()[0],
    }
    bare = page().render(given | {"packed": "", "shown": 0})
    packed, shown = differences(connection, MOST_BYTES - len(bare.encode()))
    return page().render(given | {"packed": packed, "shown": shown})


def query(name: str) -> str:
    return (QUERIES / f"{name}.sql").read_text()


def asset(name: str) -> Markup:
    return Markup((HERE / name).read_text())  # noqa: S704, it is ours


def policy(style: str, script: str) -> str:
    """Nothing from anywhere, and of style and script only these two, by their hashes."""
    hashes = {kind: base64.b64encode(sha256(text.encode()).digest()).decode() for kind, text in (("style", style), ("script", script))}
    return (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; script-src 'sha256-{hashes['script']}';"
        " base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def drawn(found: dict[str, list[dict]]) -> dict[str, Markup]:
    """The charts for which there is something to draw: one run is no trend."""
    pairs = [pair["reconciliation"] for pair in found["runs"]]
    is_trend = len({row["run_seq"] for row in found["trend"]}) > 1
    of = {"open": found["trend"] if is_trend else [], "flow": found["trend"] if is_trend else []}
    of |= {"causes": found["by_cause"], "ages": found["by_age"]}
    return {name: charts.drawn(name, rows, pairs) for name, rows in of.items() if rows}


def differences(connection: duckdb.DuckDBPyConnection, room: int) -> tuple[str, int]:
    """As many rows as there is room for, first things first, by column, compressed; and how many they are."""
    connection.execute(f"create or replace temp table listed as select * from ({query('differences')}) limit {MOST_ROWS}")
    names = [name for name, *_ in connection.execute("describe listed").fetchall()]
    lists = ", ".join(f"'{name}': list(\"{name}\" order by rowid)" for name in names)
    most = MOST_ROWS
    while True:
        shown, columns = connection.execute(f"select count(*), {{{lists}}}::json from listed where rowid < $1", [most]).fetchone()
        packed = base64.b64encode(gzip.compress(columns.encode(), 6, mtime=0)).decode()
        if len(packed) <= room or not shown:
            return packed, shown
        most = max(0, int(shown * 0.95 * room / len(packed)))


@cache
def page() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "age": lambda hours: "–" if hours is None else show.age(hours),
        "count": show.number,
        "day": lambda moment: "–" if moment is None else f"{moment.astimezone(UTC):%-d %B %Y}",
        "figure": lambda value: "–" if value is None else f"{value:,.4f}".rstrip("0").rstrip("."),
        "meaning": show.meaning,
        "moment": lambda moment: f"{moment.astimezone(UTC):%-d %B %Y, %H:%M} UTC",
        "money": lambda value: f"{value:,.2f}",
        "seen": show.seen_and_wanted,
        "utc": lambda moment: f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return environment.get_template("page.html.j2")


def printable(value: object) -> object:
    """What people and systems wrote, without what turns or hides text."""
    return show.plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value
