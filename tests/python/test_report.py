"""The report as people meet it: a real browser opens the file from disk, in light and dark, on a phone and a desk, by keyboard."""

import gzip
import json
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import altair
import duckdb
import pytest
from axe_core_python.sync_playwright import Axe
from conftest import ROOT, World
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipelines import after, report, show
from pipelines.failures import Failure
from pipelines.report import charts

NOW = datetime(2026, 3, 4, 6, tzinfo=UTC)
SCREENSHOTS = ROOT / "target/screenshots"
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
HOSTILE = [
    "<script>window.hit = 1</script>", "<img src=x onerror='window.hit = 1'>", "</script><svg onload=window.hit=1>", "{{ 7 * 7 }}",
    '"><a href="javascript:window.hit=1">x</a>', "=HYPERLINK(\"http://evil.example\",\"x\")", "\x1b[31mred\x1b]0;title\x07",
    "\u202edetsurt\u202c", "zero\u200bwidth", "';drop table marts.runs;--", "-->", "&lt;b&gt;", "\N{PILE OF POO} ﷽", "$1 $& $`",
]  # fmt: skip

# The night after the sample's first: what was in flight has arrived, one difference is listed only now, and the rest is a day older.
NEXT_NIGHT = """
insert into marts.runs by name
select * replace ('000002-next' as run_id, 2 as run_seq, as_of + interval 1 day as as_of, false as has_wave) from marts.runs;
insert into marts.trust_checks by name select * replace ('000002-next' as run_id) from marts.trust_checks;
update marts.discrepancy_history set resolved_in_run = '000002-next', resolution = 'both sides agree' where status = 'in_flight';
delete from marts.discrepancies where status = 'in_flight';
update marts.discrepancies set run_id = '000002-next', age_hours = age_hours + 24;
update marts.discrepancies set listed_in_run = run_id
where record_key = (select max(record_key) from marts.discrepancies where status = 'open')
"""
COUNTED = f"""
update marts.runs set
    {
    ", ".join(
        f"{status} = (select count(*) from marts.discrepancies where reconciliation = runs.reconciliation and status = '{status}')"
        for status in ("open", "in_flight", "quarantined", "accepted")
    )
},
    opened = 0,
    resolved = (
        select count(*) from marts.discrepancy_history
        where reconciliation = runs.reconciliation and resolved_in_run = runs.run_id
    )
where run_seq = (select max(run_seq) from marts.runs)
"""
UNTRUSTED = """
update marts.runs set verdict = 'not trustworthy', matched = null, listed = null, has_wave = null, opened = 0, resolved = 0
where run_seq = 2 and reconciliation in ({pairs});
update marts.trust_checks set passed = false, observed = 130, expected = 979, explanation = 'billing holds 130 records; 979 are expected'
where run_id = '000002-next' and check_name = 'no_implausible_drop' and side = 'right' and reconciliation in ({pairs});
update marts.discrepancies set run_id = '000001-', listed_in_run = '000001-' where reconciliation in ({pairs})
"""
SET_APART = """
update marts.discrepancies set status = 'accepted' where field = 'currency';
update marts.discrepancies set status = 'quarantined' where field = 'starts_on';
update marts.discrepancies set is_overdue = true, due_at = '2026-03-03' where field = 'amount';
insert into marts.discrepancies by name
select * replace (md5(record_key) as discrepancy_id, 'conflict' as bucket, 'interval' as field, 'another way' as direction)
from marts.discrepancies where reconciliation = 'contracts' and bucket = 'right_only' order by record_key limit 1
"""
WAVE = """
update marts.runs set has_wave = true, listed = 31, expected_listed = 1.2 where run_seq = 2 and reconciliation = 'customers';
insert into marts.drift_daily by name
select
    run_id, run_seq, as_of, reconciliation, 'conflict' as bucket, 'status' as field,
    31 as listed, 1.2 as expected_listed, true as is_wave
from marts.runs where run_seq = 2 and reconciliation = 'customers';
insert into marts.drift_slices by name
select '000002-next' as run_id, 'customers' as reconciliation, 'country' as slice, 'NL' as value, 24 as support, 31 as news, 3.1 as lift,
    1 as rank, true as is_over_represented
"""
NEVER_TRUSTED = """
truncate marts.discrepancies;
update marts.runs set verdict = 'not trustworthy', matched = null, open = 0, in_flight = 0, quarantined = 0, accepted = 0
"""
MANY = """
insert into marts.discrepancies by name
select base.* replace (
    md5(discrepancy_id || n) as discrepancy_id, 'K-' || n || ' ' || odd as record_key, odd as left_value, odd || n as right_value,
    odd as cause_evidence, odd as direction, odd as candidate_key, odd as owner, odd as response_reason, 'open' as status,
    n / 7 as value_at_risk, odd as currency
)
from (from marts.discrepancies where field = 'amount' limit 1) as base, range(10000) as numbers (n),
    (select ?::varchar[] as odds) as given, lateral (select odds[n % len(odds) + 1] as odd) as picked
"""
STATES = {
    "first": (),
    "trusted": (NEXT_NIGHT, SET_APART, COUNTED),
    "wave": (NEXT_NIGHT, COUNTED, WAVE),
    "half": (NEXT_NIGHT, SET_APART, COUNTED, WAVE, UNTRUSTED.format(pairs="'contracts'")),
    "untrusted": (NEXT_NIGHT, COUNTED, UNTRUSTED.format(pairs="'contracts', 'customers'")),
    "never": (NEVER_TRUSTED,),
    "empty": ("truncate marts.discrepancies", COUNTED),
    "in_flight": ("update marts.discrepancies set status = 'in_flight', listed_in_run = null", COUNTED),
}
SAYS = {
    "first": ["97 differences are open", "97 open, 97 new", "103 differences past the lag", "This is the first run", "One run so far"],
    "trusted": ["95 differences are open, 1 new", "4 overdue", "23 gone since the last trusted run", "Opened (up) and resolved (down)"],
    "wave": ["Wave in customers, status differs: 31 new, 1.2 expected", "country = NL, 24 of 31 (3.1 times its share)"],
    "half": ["Not trustworthy: contracts", "customers: trusted", "contracts: below is the last trusted list, of 3 March 2026, 03:00 UTC"],
    "untrusted": ["Not trustworthy: customers, contracts", "billing holds 130 records", "observed 130, expected 979", "accept-counts"],
    "never": ["no run of it was ever trusted", "its differences are not known", "There is no list yet", "nobody knows"],
    "empty": ["Nothing is open", "There are none."],
    "in_flight": ["Nothing is open", "126 differences"],
}


class Desk:
    """Where reports are written and opened."""

    def __init__(self, folder: Path, warehouse: Path, browser: Browser) -> None:
        self.folder, self.warehouse, self.browser = folder, warehouse, browser

    def page(self, name: str) -> Path:
        return self.written(name, STATES[name]) if not (self.folder / f"{name}.html").exists() else self.folder / f"{name}.html"

    def written(self, name: str, changes: tuple[str, ...], values: list | None = None) -> Path:
        with duckdb.connect(shutil.copyfile(self.warehouse, self.folder / f"{name}.duckdb")) as connection:
            for change in changes:
                connection.execute(change, values)
        html = self.folder / f"{name}.html"
        with self.read(name) as connection:
            html.write_text(report.composed(connection, NOW), encoding="utf-8")
        return html

    @contextmanager
    def read(self, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(self.folder / f"{name}.duckdb", read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            yield connection

    @contextmanager
    def open(self, html: Path, width: int = 1280, scheme: str = "light", now: datetime = NOW) -> Iterator[Page]:
        """The page, once its table stands. What it complains of or asks for fails the test."""
        context = self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        told, asked = [], []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.clock.set_fixed_time(now)
        page.goto(html.as_uri())
        if page.locator("#list").count():
            page.locator("#list tbody tr").first.wait_for()
        yield page
        assert told == []
        assert asked == [html.as_uri()]
        context.close()


@pytest.fixture(scope="module")
def desk(first_night: World, tmp_path_factory) -> Iterator[Desk]:
    chromium = shutil.which("chromium")
    assert chromium, "there is no chromium: apt-get install chromium"
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=QUIET) as browser:
        yield Desk(tmp_path_factory.mktemp("reports"), first_night.warehouse, browser)


def table(page: Page, caption: str) -> list[list[str]]:
    """The cells of the table with this caption, folded or not."""
    rows = page.locator("table").filter(has=page.locator("caption", has_text=re.compile(caption))).first.locator("tbody tr")
    return rows.evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))")


@pytest.mark.parametrize("query", sorted(report.QUERIES.glob("*.sql")), ids=lambda path: path.stem)
def test_a_query_is_of_a_section_and_says_what_it_asks(query):
    assert query.stem in (*report.SECTIONS, "differences")
    question = re.match(r"(-- .*\n)+", query.read_text()).group()
    assert question.count("?") == 1 or query.stem == "differences"


def test_every_run_writes_it_and_says_where(first_night):
    written = first_night.state / "report.html"
    assert written.stat().st_mode & 0o777 == 0o600
    assert f"report: {written}" in (first_night.folder / "out.txt").read_text()
    run_id = first_night.query("select max(run_id) from marts.runs")[0][0]
    assert f"run {run_id}" in written.read_text(encoding="utf-8")
    assert not list(first_night.state.glob("*.next"))


@pytest.mark.parametrize("name", STATES)
def test_a_state_of_things_reads_well(desk, name):
    html = desk.page(name)
    assert html.stat().st_size < 1_500_000
    for width, scheme in ((390, "dark"), (1280, "light")):
        with desk.open(html, width, scheme) as page:
            text = " ".join([page.title(), *page.locator("body").inner_text().split()])
            for sentence in SAYS[name]:
                assert sentence in text
            assert page.evaluate("document.documentElement.scrollWidth") == width
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(desk, scheme):
    """Of the night that has something of everything: an untrusted pair, a wave, what is overdue and set apart."""
    with desk.open(desk.page("half"), scheme=scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
        page.locator("#list tbody button").first.click()
        broken = [(each["id"], node["html"]) for each in Axe().run(page)["violations"] for node in each["nodes"]]
        assert broken == []


def test_landmarks_and_headings_are_in_order(desk):
    with desk.open(desk.page("half")) as page:
        for role in ("banner", "main", "contentinfo", "search"):
            assert page.get_by_role(role).count() == 1, role
        levels = page.locator("h1, h2, h3, h4").evaluate_all("headings => headings.map(heading => Number(heading.tagName[1]))")
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(deeper - level <= 1 for level, deeper in pairwise(levels))
        charts_without_words = page.locator("figure div:not([role=img][aria-label])").count()
        assert charts_without_words == 0


def test_charts_are_drawn_from_every_row(desk):
    with desk.open(desk.page("trusted")) as page, desk.read("trusted") as connection:
        bars = {name: page.locator(f"#chart-{name} svg .mark-rect.role-mark path").count() for name in ("causes", "ages", "flow")}
        assert bars["causes"] == len(
            connection.execute("select distinct reconciliation, cause from marts.discrepancies where status = 'open'").fetchall()
        )
        assert bars["ages"] == len(table(page, "Open by age"))
        assert bars["flow"] == 4  # opened and resolved of two runs
        assert page.locator("#chart-open svg .mark-line path").count() == 2
        assert page.locator("#chart-open svg .mark-symbol.role-mark path").count() == 4
        for figure in page.locator("figure svg").all():
            assert figure.bounding_box()["height"] > 50
    with desk.open(desk.page("untrusted")) as page:
        marks = page.locator("#chart-open svg .mark-symbol.role-mark path").evaluate_all(
            "marks => marks.map(mark => mark.getAttribute('d'))"
        )
        assert len(marks) == 4
        assert len({mark for mark in marks if "A" not in mark}) == 1, "a run that was not trusted is no dot"


def test_every_figure_is_the_warehouses(desk):
    with desk.open(desk.page("trusted")) as page, desk.read("trusted") as connection:

        def counted(query: str) -> list[tuple]:
            return sorted(tuple(str(cell) for cell in row) for row in connection.execute(query).fetchall())

        def shown(caption: str, *places: int) -> list[tuple]:
            return sorted(tuple(row[place].replace(",", "") for place in places) for row in table(page, caption))

        of = "from marts.discrepancies where status"
        stale = "case stale_side when 'left' then left_system when 'right' then right_system else stale_side end"
        assert shown("By cause", 0, 1, 2, 3) == counted(f"select reconciliation, cause, {stale}, count(*) {of} = 'open' group by all")
        assert sum(int(row[4]) for row in table(page, "By cause")) == 4
        assert [sum(int(row[place]) for row in table(page, "By bucket and field")) for place in (3, 4, 5, 6)] == [
            connection.execute(f"select count(*) {of} = '{status}'").fetchone()[0]
            for status in ("open", "in_flight", "quarantined", "accepted")
        ]
        assert shown("Who decides", 0, 1) == counted(f"select owner, count(*) filter (status = 'open') {of} != 'in_flight' group by all")
        bands = "case when age_hours <= 24 then 'up to a day' when age_hours <= 168 then 'up to a week' else 'later' end"
        assert [row for row in shown("Open by age", 0, 1, 2) if row[2] != "0"] == counted(
            f"select {bands}, reconciliation, count(*) {of} = 'open' group by all"
        )
        money = f"select distinct record_key, currency, value_at_risk {of} = 'open' and value_at_risk is not null"
        by_currency = [row for row in table(page, "By currency") if row[2] == "all"]
        assert sorted((row[1], row[3].replace(",", ""), row[4]) for row in by_currency if row[4] != "0") == counted(
            f"select currency, sum(value_at_risk)::decimal(18, 2), count(*) from ({money}) group by all"
        )
        assert len({row[1] for row in by_currency}) == len(by_currency), "a currency was added to another"
        assert [page.locator(".card .main dd").all_inner_texts()] == [["44", "51"]]
        assert shown("gone since", 0, 1, 2) == counted(
            "select reconciliation, resolution, count(*) from marts.discrepancy_history where resolved_in_run = '000002-next' group by all"
        )
        assert shown("Runs, newest first", 1, 3, 4, 5) == counted("select reconciliation, open, opened, resolved from marts.runs")
        assert (
            shown("past the lag", 0, 4)
            and sum(int(row[4]) for row in table(page, "past the lag"))
            == connection.execute("select count(*) from marts.discrepancies where listed_in_run = run_id").fetchone()[0]
        )
        assert (
            len(table(page, "Passed"))
            == connection.execute("select count(*) from marts.trust_checks where run_id = '000002-next'").fetchone()[0]
        )


def test_every_row_is_in_the_table_with_its_evidence(desk):
    html = desk.page("first").read_text(encoding="utf-8")
    packed = re.search(r'<script type="text/plain" id="rows">(.*?)</script>', html).group(1)
    columns = json.loads(gzip.decompress(b64decode(packed)))
    with desk.read("first") as connection:
        wanted = connection.execute(
            "select discrepancy_id, record_key, left_value, right_value, cause_evidence from marts.discrepancies"
        ).fetchall()
    assert sorted(zip(*(columns[name] for name in ("id", "key", "left_value", "right_value", "evidence")), strict=True), key=str) == sorted(
        wanted, key=str
    )


def test_a_count_leads_to_just_its_rows(desk):
    """Each is clicked, and the table then has as many rows as it says."""
    with desk.open(desk.page("trusted")) as page:
        followed = page.locator("a[data-find]").evaluate_all(
            "links => links.map(link => { link.click(); return [link.textContent, document.querySelector('#matches').textContent] })"
        )
        assert len(followed) > 10
        for figure, matches in followed:
            assert matches.split(" ")[0] == figure, matches


def test_searching_and_sorting_go_by_keyboard(desk):
    with desk.open(desk.page("first")) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the table of differences"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("crm: terminated")
        matches = page.locator("#matches")
        expect(matches).to_contain_text("of 126")
        assert matches.get_attribute("aria-live") == "polite"
        found = int(matches.inner_text().split()[0])
        assert 0 < found < 126
        page.keyboard.press("Control+A")
        page.keyboard.press("Delete")
        expect(matches).to_have_text("126 differences, 1 to 50 shown")
        for direction in ("ascending", "descending"):
            page.keyboard.press("Tab") if direction == "ascending" else None
            page.keyboard.press("Enter")
            assert page.locator("#list th[aria-sort]").first.get_attribute("aria-sort") == direction
            keys = page.locator("#list td.of-record bdi").all_inner_texts()
            assert keys == sorted(keys, reverse=direction == "descending")
        for _ in range(8):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
        assert "tallystick explain" in page.locator(".unfolded").inner_text()
        page.get_by_role("button", name="Next").focus()
        page.keyboard.press("Enter")
        expect(matches).to_have_text("126 differences, 51 to 100 shown")


def test_values_are_sorted_within_their_currency(desk):
    with desk.open(desk.page("first")) as page:
        page.get_by_role("button", name="value").click()
        page.get_by_role("button", name="value").click()
        values = [text.split() for text in page.locator("#list td.of-value").all_inner_texts() if text]
        for one, other in pairwise(values):
            assert (one[1], -float(one[0].replace(",", ""))) <= (other[1], -float(other[0].replace(",", "")))


def test_hostile_text_and_ten_thousand_rows_do_no_harm(desk):
    html = desk.written("hostile", (MANY,), [HOSTILE])
    assert html.stat().st_size < 1_500_000
    with desk.open(html) as page:
        expect(page.locator("#matches")).to_contain_text("10,126 differences")
        assert "are here, what is to be looked at first" not in page.locator("body").inner_text()
        page.get_by_role("button", name="record").click()
        page.get_by_label("Find").fill('"difference: amount differs;"')
        expect(page.locator("#matches")).to_contain_text("10,004 of 10,126 differences")
        for button in page.locator("#list tbody button").all()[:14]:
            button.click()
        page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
        text, listed = page.locator("body").inner_text(), page.locator("#list").inner_text()
        assert page.evaluate("window.hit") is None
        assert page.locator("script").count() == 2
        assert page.locator("img, iframe, object, embed, a:not([href^='#'])").count() == 0
        for odd in HOSTILE:
            assert listed.count(show.plain(odd)) >= 5  # key, value, evidence, owner, which way
            assert show.plain(odd) in text.replace(listed, "")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u200b\u202a-\u202e]", text)
        page.get_by_label("Find").fill("K-9999")
        expect(page.locator("#matches")).to_contain_text("1 of 10,126 differences")


def test_what_does_not_fit_is_told(desk, monkeypatch):
    monkeypatch.setattr(report, "MOST_BYTES", 80_000)
    html = desk.written("cut", ())
    assert html.stat().st_size < 90_000
    with desk.open(html) as page:
        shown = int(page.locator("#matches").inner_text().split()[0])
        assert 0 < shown < 126
        assert f"The first {shown} of 126 are here" in page.locator("body").inner_text()


def test_an_old_copy_says_so_when_it_is_read(desk):
    with desk.open(desk.page("first")) as page:
        assert page.locator("#stale").is_hidden()
        assert "(27 h ago)" in page.locator("header").inner_text()
    with desk.open(desk.page("first"), now=datetime(2026, 3, 7, 6, tzinfo=UTC)) as page:
        assert "This list is old: it is of 3 March 2026, 03:00 UTC (4 days ago)" in page.locator("#stale").inner_text()


def test_print_unfolds_everything(desk):
    with desk.open(desk.page("first")) as page:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        assert page.locator("#list tbody tr.unfolded").count() == 126
        assert page.locator("nav:visible, form:visible").count() == 0


@pytest.mark.parametrize("name", ["open", "flow", "causes", "ages"])
def test_a_chart_is_vega_lite(name):
    rows = [{"as_of": NOW, "run_seq": 1, "reconciliation": "customers", "open": 1, "verdict": "trusted"}]
    altair.Chart.from_dict(charts.specification(name, rows, ["customers"]), validate=True)


def test_a_report_that_fails_leaves_yesterdays(first_night, tmp_path, monkeypatch):
    shutil.copyfile(first_night.warehouse, tmp_path / "warehouse.duckdb")
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path))
    (tmp_path / "report.html").write_text("yesterday's")
    monkeypatch.setattr(report.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(Failure, match=r"disk full\. .*is as it was, the tables are published; mend it and run make report\."):
        report.write(tmp_path)
    assert (tmp_path / "report.html").read_text() == "yesterday's"
    monkeypatch.undo()
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path))
    monkeypatch.setattr(charts, "drawn", lambda *_: (_ for _ in ()).throw(ValueError("Vega failed")))
    assert "Vega failed" in after.attempt(after.report, tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path))
    assert after.attempt(after.report, tmp_path) is None
    assert "97 differences are open" in (tmp_path / "report.html").read_text(encoding="utf-8")
