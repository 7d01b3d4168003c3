"""Messages: what is told and what is not, to real receivers on this machine, whatever befalls them or the run."""

import os
import re
import signal
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import ROOT, World, at, house, say
from engine import Engine, lent
from receivers import MailServer, Webhook, mail_server, webhook
from servers import free_port
from simulated import play

from pipelines.failures import BadConfiguration, Failure
from pipelines.notify import deliver, send
from pipelines.notify.journal import Journal
from pipelines.notify.message import harmless
from pipelines.notify.targets import first_day_of_week, targets
from pipelines.notify.tell import tell
from pipelines.simulate.simulation import Simulation

TUESDAY = datetime(2026, 3, 10, 3, tzinfo=UTC)
DAY = timedelta(days=1)
UNFINISHED = {("crm", "customers"): {"end_seen": False}}
LONG_AGO = {"updated_at": "2026-01-01T00:00:00Z"}
EVENTS = "from warehouse.marts.discrepancy_events"
CANARY = "canary-3e9b5d-in-a-url"


class House:
    """Two systems that agree on forty customers, and what goes out of step in them; each night is played and told."""

    def __init__(self, engine: Engine, state: Path):
        self.engine, self.state, self.tables, self.nights = engine, state, house(range(40)), 0

    def differ(self, *numbers: int) -> None:
        """In e-mail, which RevOps decides in seven days."""
        for number in numbers:
            self.tables["billing"]["customers"][number] |= {"email": "else@example.org"} | LONG_AGO

    def agree(self, *numbers: int) -> None:
        for number in numbers:
            self.tables["billing"]["customers"][number]["email"] = self.tables["crm"]["customers"][number]["email"]

    def run_on(self, number: int, amount: str = "10.00") -> None:
        """A contract lost in the CRM that billing still bills, which Finance decides in two days."""
        self.tables["crm"]["deals"][number] |= {"stage": "lost", "amount": amount} | LONG_AGO
        self.tables["billing"]["subscriptions"][number]["amount_minor"] = amount.replace(".", "")

    def night(self, days: int = 1, **options) -> None:
        """The night after, or some days later."""
        self.nights += days
        self.again(**options)

    def again(self, **options) -> None:
        self.engine.night(TUESDAY + (self.nights - 1) * DAY, **deepcopy(self.tables), **options)
        self.tell()

    def tell(self) -> None:
        publish(self.engine, self.state)
        tell(self.state)

    def told(self, columns: str = "target, status, attempts") -> list[tuple]:
        return World(self.state.parent).query(f"select {columns} from marts.notifications order by run_id, target")


def publish(engine: Engine, state: Path) -> None:
    """Its public tables as a run leaves them."""
    state.mkdir(exist_ok=True)
    (state / "warehouse.duckdb").unlink(missing_ok=True)
    engine.connection.execute(f"attach '{state / 'warehouse.duckdb'}' as swapped; create schema swapped.marts")
    for (table,) in engine.connection.execute(
        "select table_name from duckdb_tables() where database_name = 'warehouse' and schema_name = 'marts'"
    ).fetchall():
        engine.connection.execute(f"create table swapped.marts.{table} as from warehouse.marts.{table}")
    engine.connection.execute("detach swapped")


@pytest.fixture(autouse=True)
def in_no_hurry(monkeypatch) -> None:
    """The waits are the same, and shorter."""
    monkeypatch.setattr(deliver, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(deliver, "GIVEN_UP_AFTER", 5)
    for name in [name for name in os.environ if name.startswith("NOTIFY__")]:
        monkeypatch.delenv(name)


@pytest.fixture
def hook(monkeypatch) -> Iterator[Webhook]:
    with webhook() as receiver:
        monkeypatch.setenv("NOTIFY__URLS", receiver.url)
        yield receiver


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as receiver:
        yield receiver


@pytest.fixture
def home(hook, tmp_path, monkeypatch) -> Iterator[House]:
    """No night behind it, and no summary unless a test wants one."""
    monkeypatch.setenv("NOTIFY__WEEKLY_SUMMARY", "never")
    with lent() as engine:
        yield House(engine, tmp_path / "state")


def test_a_quiet_night_tells_nobody(home, hook):
    home.night()
    assert hook.got == [] and home.told() == []


def test_what_is_new_is_told_once_with_owner_counts_and_ids(home, hook):
    home.differ(1, 2, 3, 4)
    home.run_on(5)
    home.night()
    (message,) = hook.got
    assert (message["title"], message["type"]) == ("Tallystick: 5 new", "warning")
    ids = home.engine.rows("select discrepancy_id, owner from warehouse.marts.discrepancies order by due_at, discrepancy_id")
    of_revops = [row["discrepancy_id"] for row in ids if row["owner"] == "RevOps"]
    assert f"RevOps: 4 new; 4 open, 0 overdue in all\n- new: {', '.join(of_revops[:3])} and 1 more\n" in message["message"]
    assert f"Finance: 1 new; 1 open, 0 overdue in all\n- new: {ids[0]['discrepancy_id']}\n" in message["message"]
    home.night()
    assert len(hook.got) == 1


def test_no_value_of_a_record_is_told(home, hook):
    home.differ(1)
    home.tables["crm"]["customers"][1] |= {"company": "Acme-in-the-open", "email": "in@the-open.org"} | LONG_AGO
    home.night()
    assert len(hook.got) == 1
    for value in ("Acme", "the-open", "else@", "C-0001", "10.00"):
        assert value not in str(hook.got)


def test_what_is_in_flight_or_accepted_is_not_told(home, hook):
    home.differ(1)
    home.engine.seed("decisions", [{
        "reconciliation": "customers", "field": "email", "decision": "accept", "decided_by": "Ana", "decided_at": "2026-03-01T00:00:00Z"
    }])  # fmt: skip
    home.tables["billing"]["customers"][2] |= {"country": "DE", "updated_at": f"{TUESDAY:%Y-%m-%dT00:00:00Z}"}
    home.night()
    statuses = {row["status"] for row in home.engine.rows("select status from warehouse.marts.discrepancies")}
    assert (statuses, hook.got) == ({"accepted", "in_flight"}, [])
    home.tables["billing"]["customers"][1]["email"] = "else-again@example.org"  # which the decision was not about
    home.night(2)
    assert hook.titles() == ["1 new; 1 reopened"]


def test_what_comes_back_is_told_as_reopened(home, hook):
    home.differ(1)
    home.night()
    home.agree(1)
    home.night()
    home.differ(1)
    home.night()
    assert hook.titles() == ["1 new", "1 reopened"]


def test_what_is_overdue_is_told_once(home, hook):
    home.run_on(5)
    home.night()
    home.night(2)
    assert hook.titles() == ["1 new"]
    home.night()
    home.night()
    assert hook.titles() == ["1 new", "1 overdue"]


def test_what_is_worth_a_tenth_more_than_was_told_has_worsened(home, hook):
    home.engine.seed("owners", [{"owner": "RevOps", "days_to_decide": 100}])
    for amount in ("10.00", "10.90", "11.00", "5.00", "12.10"):
        home.run_on(5, amount)
        home.run_on(6, "0.00")
        home.night()
    assert hook.titles() == ["2 new", "1 worsened", "1 worsened"]
    assert home.told("worsened, title")[-1] == (1, "Tallystick: 1 worsened")


def test_an_untrusted_run_is_told_every_night_with_the_check_and_since_when(home, hook):
    home.night()
    home.differ(1)
    home.night(evidence=UNFINISHED)
    home.night(evidence=UNFINISHED)
    assert hook.titles() == ["NOT TRUSTWORTHY: customers"] * 2
    body = hook.got[1]["message"]
    assert hook.got[1]["type"] == "failure"
    assert (
        "customers: NOT TRUSTWORTHY since 2026-03-11 03:00 UTC, 2 runs in a row; the list is that of 2026-03-10 03:00 UTC\n"
        "- pull_finished (left): observed 0, expected 1\n"
        "What to do: read docs/trust/pull_finished.md, mend the source"
    ) in body
    home.night()
    assert hook.titles()[2:] == ["1 new"]


def test_on_mondays_a_summary_goes_out_whatever_happened(home, hook, monkeypatch):
    monkeypatch.setenv("NOTIFY__WEEKLY_SUMMARY", "monday")
    home.differ(1)
    home.night()  # a Tuesday, and the first run of its week
    home.night(5)
    assert hook.titles() == ["1 new; weekly summary, 1 open, 0 overdue"]
    home.night()
    assert hook.titles()[1:] == ["weekly summary, 1 open, 0 overdue"] and hook.got[1]["type"] == "info"
    assert "- customers: trusted, 3 of 3 runs trusted; 1 open, 0 quarantined, 0 in flight; 1 new and 0 gone" in hook.got[1]["message"]
    assert "- RevOps: 1 open, 0 overdue, next due 2026-03-17" in hook.got[1]["message"]
    home.night(8)  # Monday's run did not take place
    assert hook.titles()[2:] == ["1 overdue; weekly summary, 1 open, 1 overdue"]
    monkeypatch.setenv("NOTIFY__WEEKLY_SUMMARY", "thursday")
    home.night(2)
    assert hook.titles()[3:] == ["weekly summary, 1 open, 1 overdue"]
    monkeypatch.setenv("NOTIFY__WEEKLY_SUMMARY", "never")
    home.night(7)
    assert len(hook.got) == 4


def test_a_wave_is_told_with_what_was_expected(home, hook):
    for _ in range(3):  # the first is the inventory, and one is no rule
        home.night()
    home.differ(*range(12))
    home.night()
    assert hook.titles() == ["12 new"]
    assert "WAVE in customers, email differs: 12 new, 0." in hook.got[0]["message"]


def test_the_same_run_again_tells_nobody_and_changes_nothing(home, hook):
    home.differ(1)
    home.night()
    before, happened = home.told("*"), home.engine.rows(EVENTS)
    home.again()
    assert len(hook.got) == 1 and home.told("*") == before
    assert len(happened) == 1 and home.engine.rows(EVENTS) == happened
    (home.state / "notifications.sqlite").unlink()
    home.engine.connection.execute(f"attach '{home.state / 'warehouse.duckdb'}' as kept (read_only)")
    home.engine.connection.execute("insert into published.marts.notifications from kept.marts.notifications; detach kept")
    home.again()
    assert len(hook.got) == 1 and home.told("*") == before


def test_what_a_receiver_refused_is_told_the_next_night(home, hook):
    hook.answer = 500
    home.differ(1)
    with pytest.raises(Failure, match="json-1 did not take the message: it answered HTTP 500, tried 4 times"):
        home.night()
    assert home.told() == [("json-1", "failed", 4)]
    home.differ(2)
    with pytest.raises(Failure, match="json-1"):
        home.night()
    hook.got.clear()
    hook.answer = 200
    home.night()
    assert hook.titles() == ["2 new"] and "with what earlier messages could not deliver" in hook.got[0]["message"]
    home.differ(3)
    home.night()
    assert hook.titles() == ["2 new", "1 new"] and "earlier messages" not in hook.got[1]["message"]


def test_the_same_run_again_tells_what_could_not_be_delivered(home, hook):
    hook.answer = 503
    home.differ(1)
    with pytest.raises(Failure):
        home.night()
    hook.answer = 200
    home.again()
    assert home.told() == [("json-1", "sent", 5)]
    home.again()
    assert len(hook.got) == 5


def test_of_two_receivers_one_is_down(home, hook, monkeypatch):
    down = free_port()
    monkeypatch.setenv("NOTIFY__URLS", f'["json://127.0.0.1:{down}", "{hook.url}"]')
    home.differ(1)
    with pytest.raises(Failure, match="json-1 did not take the message: it could not be reached, tried 4 times") as failure:
        home.night()
    assert "json-2" not in str(failure.value)
    assert hook.titles() == ["1 new"]
    assert [(target, status) for target, status, _ in home.told()] == [("json-1", "failed"), ("json-2", "sent")]


def test_a_receiver_that_does_not_answer_is_given_up_and_may_be_told_again(home, hook, monkeypatch):
    monkeypatch.setenv("NOTIFY__URLS", hook.url + "?rto=0.3")
    hook.seconds = 1
    home.differ(1)
    with pytest.raises(Failure, match="json-1 may not have got the message: it gave no answer that tells"):
        home.night()
    assert len(hook.got) == 1  # it may have arrived, so it is not sent twice in one night
    monkeypatch.setattr(deliver, "GIVEN_UP_AFTER", 0.2)
    home.differ(2)
    with pytest.raises(Failure, match="there was no answer within"):
        home.night()
    hook.seconds = 0
    monkeypatch.setattr(deliver, "GIVEN_UP_AFTER", 5)
    home.night()
    assert hook.titles() == ["1 new", "2 new", "2 new"]


def test_mail_arrives_as_text_and_as_html(home, mail, monkeypatch):
    monkeypatch.setenv("NOTIFY__URLS", f'["{mail.url}", "{mail.url}&format=html"]')
    home.engine.seed("owners", [{"owner": "<b>@channel</b> *Ana* & Ben", "days_to_decide": 7}])
    home.differ(1)
    home.night()
    assert [message["subject"] for message in mail.got] == ["Tallystick: 1 new"] * 2
    text, html = (mail_of(kind, mail) for kind in ("plain", "html"))
    assert "\nb channel /b Ana & Ben: 1 new; 1 open, 0 overdue in all\n- new: " in text
    assert "b channel /b Ana &amp; Ben: 1 new" in html.replace("&nbsp;", " ") and "<b>" not in html


def mail_of(kind: str, mail: MailServer) -> str:
    """The mail whose richest form is of that kind."""
    return next(
        body.get_content().replace("\r\n", "\n")
        for body in (message.get_body() for message in mail.got)
        if body.get_content_subtype() == kind
    )


def test_a_mail_server_that_refuses_is_told_by_its_number(home, mail, monkeypatch):
    monkeypatch.setenv("NOTIFY__URLS", mail.url)
    mail.answer = "554 no"
    home.differ(1)
    with pytest.raises(Failure, match="mailto-1 did not take the message: the mail server answered 554"):
        home.night()
    assert len(mail.got) == 1


@pytest.mark.parametrize("name", ["@everyone", "<!channel>", "[a](http://b.c)", "**bold**", "a_b_", "\x1b[31m", "\u202eab", "<script>"])
def test_an_owner_is_never_markup(name):
    assert not set(harmless(name)) & set("@<>![]*_:\x1b\u202e`~|#\\")
    assert harmless("Ana O'Neill, R&D (NL)") == "Ana O'Neill, R&D (NL)"


@pytest.mark.parametrize("urls", [f"nosuch://{CANARY}", f"slack://{CANARY}", f'["json://localhost", "{CANARY}"]', f'["{CANARY}"', "[1]"])
def test_a_url_that_is_none_is_refused_without_a_word_of_it(urls, monkeypatch, capfd):
    monkeypatch.setenv("NOTIFY__URLS", urls)
    with pytest.raises(BadConfiguration) as refused:
        targets()
    told = capfd.readouterr()
    assert CANARY not in str(refused.value) + told.out + told.err


def test_a_day_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("NOTIFY__WEEKLY_SUMMARY", "weekly")
    with pytest.raises(BadConfiguration, match="weekly_summary must be a day"):
        first_day_of_week()


def test_any_command_can_tell_people_something(hook, mail, monkeypatch):
    monkeypatch.setenv("NOTIFY__URLS", f"{hook.url}, {mail.url} json://127.0.0.1:{free_port()}")
    assert send("nothing ran", "since Friday") == ["json-2 did not take the message: it could not be reached, tried 4 times."]
    assert (hook.got[0]["title"], mail.got[0]["subject"]) == ("nothing ran", "nothing ran")
    monkeypatch.delenv("NOTIFY__URLS")
    assert send("nothing ran", "") == ["Nobody was told: there are no [notify] urls in .dlt/secrets.toml."]


def test_the_command_tells_once_and_a_failed_delivery_fails_no_run(yesterday, quiet_customer, hook):
    """Over real runs: refused by the receiver, killed between sending and noting, and then in the next night's message."""
    url = f"json://ana:{CANARY}@127.0.0.1:{hook.port}/{CANARY}?+X-Token={CANARY}"
    hook.answer = 404
    say(at(yesterday, 4), "billing", quiet_customer, email="else@example.org", updated_at=LONG_AGO["updated_at"])
    ran = yesterday.reconcile(NOTIFY__URLS=url)
    assert (ran.code, len(hook.got)) == (0, 1)
    assert ran.says("json-1 did not take the message: it answered HTTP 404.", "tallystick notify")
    hook.answer = 200
    running = yesterday.start("notify", NOTIFY__URLS=url)
    hook.on_message = lambda: os.kill(running.pid, signal.SIGKILL)
    _, told = running.communicate()
    assert (running.returncode, len(hook.got)) == (-signal.SIGKILL, 2)
    hook.on_message = lambda: None
    again = yesterday.run("notify", NOTIFY__URLS=url)
    assert (again.code, len(hook.got)) == (0, 2), again.err
    status = "select target, status, attempts from marts.notifications"
    assert yesterday.query(status) == [("json-1", "unknown", 1)]
    yesterday.cut(yesterday.crm / "customers.csv", 0.5)
    night = yesterday.reconcile(NOTIFY__URLS=url)
    assert (night.code, len(hook.got)) == (4, 3)
    new = hook.titles()[1]  # which may have been read, and may not
    assert hook.titles() == [new, new, f"NOT TRUSTWORTHY: customers, contracts; {new}"]
    assert yesterday.query(f"{status} order by run_id") == [("json-1", "unknown", 1), ("json-1", "sent", 1)]
    assert CANARY not in ran.out + ran.err + told + again.out + again.err + night.out + night.err
    files = [path for path in yesterday.state.rglob("*") if path.is_file()]
    assert [str(path) for path in files if CANARY.encode() in path.read_bytes()] == []
    assert Journal(yesterday.state).file.stat().st_mode & 0o777 == 0o600


def test_a_bad_url_ends_a_run_before_anything_is_pulled(yesterday):
    before = yesterday.fingerprint()
    ran = yesterday.reconcile(NOTIFY__URLS=f"json://localhost, nosuch://{CANARY}")
    assert (ran.code, yesterday.fingerprint()) == (2, before)
    assert ran.says("Number 2 of notify.urls is no URL that Apprise knows")
    assert CANARY not in ran.out + ran.err and not (yesterday.state / "next").exists()


@pytest.mark.sweep
def test_a_week_of_simulated_nights(hook, tmp_path):
    """What one receiver gets, in order, as docs/messages.md shows it."""
    told, shown = [], without_run_ids((ROOT / "docs/messages.md").read_text())
    for engine, night in play(Simulation(7, cut={5: ("billing", "subscriptions")}), 8):
        publish(engine, tmp_path / "state")
        tell(tmp_path / "state")
        told.append((f"{night.as_of:%A}", hook.titles()))
        for message in hook.got:
            assert without_run_ids(f"```\n{night.as_of:%A}: {message['title']}\n\n{message['message'].rstrip()}\n```") in shown
        hook.got.clear()
    assert told == [
        ("Monday", ["3 new; weekly summary, 2 open, 0 overdue"]),
        ("Tuesday", ["3 new"]),
        ("Wednesday", ["3 new"]),
        ("Thursday", ["4 new"]),
        ("Friday", ["NOT TRUSTWORTHY: customers, contracts"]),
        ("Saturday", ["9 new; 2 overdue"]),
        ("Sunday", ["4 new"]),
        ("Monday", ["4 new; weekly summary, 20 open, 0 overdue"]),
    ]


def without_run_ids(text: str) -> str:
    """They change with every threshold."""
    return re.sub(r"Run \d{6}-[0-9a-f]{8}", "Run …", text)
