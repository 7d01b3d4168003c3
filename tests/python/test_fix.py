"""`tallystick fix`: what is shown, what is written, and that nothing is written twice wherever it is killed."""

import multiprocessing
import shutil
import signal
from io import StringIO
from pathlib import Path

import duckdb
import plans
import pytest
import recording
from recording import TOKEN, Recording, killed_at
from rich.console import Console

from pipelines import cli, run
from pipelines.failures import AlreadyRunning, BadConfiguration, Failure, Interrupted, NotTrustworthy, TargetFailed
from pipelines.fix import apply as applying
from pipelines.fix import report
from pipelines.fix.journal import Journal
from pipelines.fix.plan import closing, last_plan, show
from pipelines.progress import Plain
from pipelines.targets.api import WritingApi

KEYS = ("C-1", "C-2", "C-3")


def ended(key: str, field: str = "status", **values) -> dict:
    """A write that ends a customer in the CRM, as billing has it."""
    told = {"from_value": "active", "to_value": "churned", "left_value": "active", "right_value": "canceled"}
    return plans.write("crm", "update", key, field, **(told | values))


class Planned:
    """A state folder with a plan in it, and the CRM's server, whose records are as planned."""

    def __init__(self, state: Path, server: Recording):
        self.state, self.server = state, server
        self.warehouse = state / "warehouse.duckdb"
        self.plan(*map(ended, KEYS))

    def plan(self, *rows: dict, breakers: tuple = ()) -> None:
        plans.plan(self.warehouse, rows, breakers)

    def apply(self) -> applying.Applied:
        return applying.apply(Plain(Console(file=StringIO())))

    def journal(self) -> list[tuple]:
        return [(row["record_key"], row["attempt"], row["outcome"]) for row in Journal(self.state).attempts()]

    def log(self, columns: str = "record_key, attempt, outcome") -> list[tuple]:
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            return connection.execute(f"select {columns} from marts.fix_log order by attempted_at, record_key, attempt").fetchall()

    def shown(self, what) -> str:
        out = StringIO()
        console = Console(file=out, width=200, soft_wrap=True, markup=False, emoji=False, highlight=False)
        if isinstance(what, applying.Applied):
            report.show(what, console)
        else:
            show(what, console)
        return out.getvalue()

    def closing(self) -> str:
        journal = Journal(self.state)
        return closing(self.last_plan(), journal.done(), journal.refused())

    def last_plan(self):
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            return last_plan(connection)


@pytest.fixture
def server():
    with Recording({key: {"status": "active"} for key in KEYS}) as server:
        yield server


@pytest.fixture
def planned(tmp_path, server, monkeypatch) -> Planned:
    recording.use_recording_target()
    monkeypatch.setattr(applying, "look", recording.look_at(server.url))
    for name, value in (server.environment | {"TALLYSTICK_STATE": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    return Planned(tmp_path, server)


def test_fix_prints_the_plan_and_writes_nothing(planned, capsys):
    before = planned.warehouse.read_bytes()
    cli.fix()
    told = capsys.readouterr().out
    for key in KEYS:
        assert key in told
    assert "3 planned by run 000001-test. Nothing was written" in told
    assert planned.server.requests == []
    assert planned.warehouse.read_bytes() == before
    assert not (planned.state / "fixes.sqlite").exists()


def test_apply_writes_each_once_and_says_so_everywhere(planned):
    applied = planned.apply()
    assert planned.server.writes() == [("PUT", key) for key in KEYS]
    assert {key: record["status"] for key, record in planned.server.records.items()} == dict.fromkeys(KEYS, "churned")
    assert planned.journal() == planned.log() == [(key, 1, "written") for key in KEYS]
    assert "3 written" in planned.shown(applied)
    planned.apply()
    assert len(planned.server.requests) == 3
    assert planned.log() == planned.journal() == [(key, 1, "written") for key in KEYS]


def test_what_changed_meanwhile_is_dropped_and_told(planned):
    planned.server.records["C-2"]["status"] = "paused"
    applied = planned.apply()
    assert planned.server.writes() == [("PUT", "C-1"), ("PUT", "C-3")]
    assert ("C-2", "dropped", "crm says paused by now") in planned.log("record_key, outcome, detail")
    assert "crm says paused by now" in planned.shown(applied)


def test_what_the_target_can_not_do_is_told_before_anything_is_written(planned):
    planned.plan(ended("C-1"), ended("C-2", field="country", left_value=None))
    applied = planned.apply()
    assert planned.server.writes() == [("PUT", "C-1")]
    assert "this system knows no country" in planned.shown(applied)
    assert ("C-2", "refused", "this system knows no country") in planned.log("record_key, outcome, detail")
    assert [("C-1", 1, "written"), ("C-2", 1, "refused")] == sorted(planned.log()) == sorted(planned.journal())


def test_a_refused_write_is_told_in_plain_words_and_can_be_tried_again(planned):
    planned.server.answers = {2: 422}
    applied = planned.apply()
    applied.refuse_if_failed()
    assert planned.log() == [("C-1", 1, "written"), ("C-2", 1, "refused"), ("C-3", 1, "written")]
    told = planned.shown(applied)
    assert "What was refused is planned again until its target takes it" in told
    assert "2 of them written before, 1 refused before" in planned.closing()
    assert "status 422; no\N{REPLACEMENT CHARACTER}[31m such thing" in told
    assert "\x1b" not in told + str(planned.log("detail"))
    planned.apply()
    assert planned.log()[-1] == ("C-2", 2, "written")
    assert "3 of them written before. Nothing was written" in planned.closing()
    assert planned.server.writes().count(("PUT", "C-2")) == 1


def test_whatever_a_target_says_is_kept_short_and_plain(planned, monkeypatch):
    planned.server.answers = {1: 422}
    monkeypatch.setattr(WritingApi, "said", lambda *_: "\x1b[2J\n" + "x" * 500)
    planned.apply()
    ((detail,),) = [row for row in planned.log("detail") if "422" in row[0]]
    assert len(detail) == 200
    assert detail.isprintable()


def test_a_target_that_is_down_ends_in_3_and_a_second_apply_completes(planned, monkeypatch):
    monkeypatch.setenv("TARGETS__CRM__BASE_URL", f"http://127.0.0.1:{unused_port()}")
    with pytest.raises(TargetFailed, match="crm took no more writes") as failed:
        planned.apply().refuse_if_failed()
    assert failed.value.exit_code == 3
    assert planned.journal() == [("C-1", 1, "refused")]
    monkeypatch.setenv("TARGETS__CRM__BASE_URL", planned.server.url)
    planned.apply().refuse_if_failed()
    assert planned.server.writes() == [("PUT", key) for key in KEYS]


@pytest.mark.parametrize("answer", [500, "hang up"])
def test_no_answer_ends_in_3_and_the_next_apply_looks_what_became_of_it(planned, monkeypatch, answer):
    planned.server.answers = dict.fromkeys(range(2, 7), answer)
    with pytest.raises(TargetFailed):
        planned.apply().refuse_if_failed()
    assert planned.log() == [("C-1", 1, "written"), ("C-2", 1, "unknown")]
    planned.apply().refuse_if_failed()
    assert planned.log() == planned.journal() == [(key, 1, "written") for key in KEYS]
    assert planned.server.records["C-2"]["status"] == "churned"


def test_after_a_fault_of_our_own_nothing_more_is_sent_and_the_next_apply_looks(planned, monkeypatch):
    sent = WritingApi.ask

    def faulty(self, method, path, *arguments, **request):
        answer = sent(self, method, path, *arguments, **request)
        return {}["no such field"] if path.endswith("C-2") else answer

    monkeypatch.setattr(WritingApi, "ask", faulty)
    with pytest.raises(KeyError):
        planned.apply()
    assert planned.log() == [("C-1", 1, "written"), ("C-2", 1, "unknown")]
    monkeypatch.setattr(WritingApi, "ask", sent)
    planned.apply()
    assert planned.server.writes() == [("PUT", key) for key in KEYS]
    assert planned.log() == [(key, 1, "written") for key in KEYS]


def test_a_create_without_an_answer_is_never_sent_twice(planned):
    planned.plan(plans.write("crm", "create", "C-9"), ended("C-1"))
    planned.server.answers = {2: 500}
    with pytest.raises(TargetFailed):
        planned.apply().refuse_if_failed()
    assert planned.log() == [("C-1", 1, "written"), ("C-9", 1, "unknown")]
    planned.apply().refuse_if_failed()
    assert [request.method for request in planned.server.requests] == ["PUT", "POST"]


def test_429_is_asked_again_even_for_a_create(planned):
    planned.plan(plans.write("crm", "create", "C-9"))
    planned.server.answers = {1: 429}
    planned.apply().refuse_if_failed()
    assert planned.log() == [("C-9", 1, "written")]
    assert planned.server.records["C-9"] == {"status": "active"}


def test_a_stopped_plan_is_not_written_and_says_by_what_and_by_how_much(planned, capsys):
    planned.plan(*(ended(key, is_stopped=True) for key in KEYS), breakers=(plans.breaker(), plans.breaker("no_wave", tripped=False)))
    told = planned.shown(planned.last_plan())
    assert "no_more_rows_than_allowed" in told
    assert "40 planned under customers, most_rows allows 25" in told
    assert "Raise most_rows" in told
    assert "no_wave" not in told
    with pytest.raises(NotTrustworthy) as stopped:
        cli.fix(apply=True)
    assert stopped.value.exit_code == 4
    with pytest.raises(NotTrustworthy):
        planned.apply()
    assert planned.server.requests == []


def test_a_write_that_is_stopped_is_not_written_whatever_the_breakers_say(planned):
    planned.plan(ended("C-1", is_stopped=True), ended("C-2"))
    planned.apply()
    assert planned.server.writes() == [("PUT", "C-2")]


def test_an_accepted_breaker_stops_nothing(planned):
    planned.plan(ended("C-1"), breakers=(plans.breaker("no_wave", tripped=False, can_be_accepted=True, accepted_by="Ana"),))
    planned.apply()
    assert planned.server.writes() == [("PUT", "C-1")]


def test_where_nothing_is_planned_it_says_so_unless_the_run_was_not_trusted(planned, capsys):
    wave, untrusted = plans.breaker("no_wave"), plans.breaker("every_pair_is_trusted", observed=1.0, most=0.0, policy="", reconciliation="")
    planned.plan(breakers=(wave,))
    cli.fix()
    assert "planned nothing" in capsys.readouterr().out
    planned.plan(breakers=(wave, untrusted))
    with pytest.raises(NotTrustworthy, match="every_pair_is_trusted"):
        cli.fix()


def test_without_a_target_nothing_is_read_or_written(planned, monkeypatch):
    monkeypatch.delenv("TARGETS__CRM__CONNECTOR")
    monkeypatch.setattr(applying, "look", lambda *_: pytest.fail("it read"))
    with pytest.raises(BadConfiguration, match=r"\[targets.crm\] names no connector") as refused:
        planned.apply()
    assert refused.value.exit_code == 2
    assert planned.journal() == []


def test_two_applies_at_once_are_one(planned):
    with run.locked(planned.state), pytest.raises(AlreadyRunning) as refused:
        planned.apply()
    assert refused.value.exit_code == 5
    assert planned.server.requests == []


def test_a_journal_that_can_not_be_read_ends_it_before_anything_is_sent(planned):
    (planned.state / "fixes.sqlite").write_bytes(b"no database, but long enough to look like one to who only counts its bytes" * 20)
    with pytest.raises(Failure, match="journal of what was written"):
        planned.apply()
    assert planned.server.requests == []


def test_what_an_earlier_plan_left_open_is_never_sent_again(planned):
    Journal(planned.state).begin(ended("C-7") | {"run_id": "000000-before"})
    planned.apply()
    assert ("C-7", 1, "unknown") in planned.log()
    assert [request.key for request in planned.server.requests] == list(KEYS)


def test_what_a_run_has_verified_stays_as_it_is(planned):
    planned.apply()
    with duckdb.connect(planned.warehouse) as connection:
        connection.execute("update marts.fix_log set verification = 'verified', detail = 'as it was' where record_key = 'C-1'")
    planned.plan(ended("C-1", idempotency_key="x", left_value="churned", to_value="active"))
    planned.apply()
    assert planned.log("record_key, verification, detail")[0] == ("C-1", "verified", "as it was")
    assert len(planned.log()) == 4


def test_no_secret_is_kept_or_told(planned, capsys):
    planned.server.answers = {1: 403, 2: 401}
    applied = planned.apply()
    told = planned.shown(applied) + capsys.readouterr().out
    kept = b"".join(file.read_bytes() for file in planned.state.rglob("*") if file.is_file())
    assert "status 403" in told
    assert TOKEN not in told
    assert TOKEN.encode() not in kept
    assert (planned.state / "fixes.sqlite").stat().st_mode & 0o777 == 0o600


def test_values_from_the_data_can_not_command_the_terminal(planned):
    planned.plan(ended("C-\x1b[2J1", to_value="chur\nned\x07", allowed_because="be\x1bcause"))
    told = planned.shown(planned.last_plan())
    assert not {"\x1b", "\x07"} & set(told)
    assert "chur\N{REPLACEMENT CHARACTER}ned" in told


# Every boundary of one write, in the order in which an apply comes to them.
OF_A_WRITE = ("before journal begin", "after journal begin", "kill", "after answer", "before journal end", "after journal end")
OF_AN_APPLY = ("before look", "after look", "before send", "after send", "before log", "after log")


def run_killed(boundary: str, position: int, environment: dict[str, str]) -> int:
    """Forked from a process that has everything imported: a Python and dlt of its own would take two seconds each time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["recording", "pipelines.fix.apply", "pipelines.targets.api", "dlt"])
    process = context.Process(target=killed_at, args=(boundary if boundary != "kill" else "", position, environment))
    process.start()
    process.join(60)
    return process.exitcode


def kill_and_start_again(planned: Planned, boundary: str, position: int) -> None:
    environment = planned.server.environment | {"TALLYSTICK_STATE": str(planned.state)}
    planned.server.answers = {position: "kill"} if boundary == "kill" else {}
    assert run_killed(boundary, position, environment) == -signal.SIGKILL
    planned.server.answers = {}
    assert run_killed("", 0, environment) == 0
    assert planned.server.writes() == [(method, key) for key, method in zip(KEYS, ("PUT", "POST", "PUT"), strict=True)]
    assert planned.journal() == planned.log() == [(key, 1, "written") for key in KEYS]
    assert (planned.state / "fixes.sqlite").exists()


@pytest.fixture
def with_a_create(planned) -> Planned:
    del planned.server.records["C-2"]
    planned.plan(ended("C-1"), plans.write("crm", "create", "C-2"), ended("C-3"))
    return planned


# A create that was begun and never sent is the one thing nobody can know: it is told as such, and not sent.
CAN_NOT_BE_KNOWN = {("after journal begin", 2)}


@pytest.mark.parametrize("boundary", [*OF_A_WRITE, *OF_AN_APPLY])
def test_killed_anywhere_each_is_written_once_and_the_log_agrees(with_a_create, boundary):
    kill_and_start_again(with_a_create, boundary, 1)


@pytest.mark.sweep
@pytest.mark.parametrize("position", [2, 3])
@pytest.mark.parametrize("boundary", OF_A_WRITE)
def test_killed_at_every_write_each_is_written_once_and_the_log_agrees(with_a_create, boundary, position):
    if (boundary, position) not in CAN_NOT_BE_KNOWN:
        kill_and_start_again(with_a_create, boundary, position)


def test_after_an_interrupt_nothing_more_is_sent_until_it_is_applied_again(with_a_create):
    environment = with_a_create.server.environment | {"TALLYSTICK_STATE": str(with_a_create.state)}
    with_a_create.server.answers = {1: "interrupt"}
    assert run_killed("", 0, environment) == Interrupted.exit_code
    assert with_a_create.server.writes() == [("PUT", "C-1")]
    assert with_a_create.journal() == with_a_create.log() == [("C-1", 1, "written")]
    with_a_create.server.answers = {}
    assert run_killed("", 0, environment) == 0
    assert with_a_create.server.writes() == [("PUT", "C-1"), ("POST", "C-2"), ("PUT", "C-3")]


def test_a_create_that_was_begun_is_not_sent_again_where_nobody_knows(with_a_create):
    environment = with_a_create.server.environment | {"TALLYSTICK_STATE": str(with_a_create.state)}
    assert run_killed("after journal begin", 2, environment) == -signal.SIGKILL
    assert run_killed("", 0, environment) == 0
    assert with_a_create.server.writes() == [("PUT", "C-1"), ("PUT", "C-3")]
    assert with_a_create.log() == [("C-1", 1, "written"), ("C-2", 1, "unknown"), ("C-3", 1, "written")]


def unused_port() -> int:
    from servers import free_port

    return free_port()


def test_no_more_requests_a_second_than_allowed(planned, monkeypatch):
    monkeypatch.setenv("TARGETS__CRM__REQUESTS_PER_SECOND", "2")
    planned.apply()
    assert len(planned.server.writes()) == 3
    assert planned.server.times[2] - planned.server.times[0] >= 0.9
    monkeypatch.setenv("TARGETS__CRM__REQUESTS_PER_SECOND", "0")
    planned.plan(ended("C-1", idempotency_key="x"))
    with pytest.raises(BadConfiguration, match="must be more than 0"):
        planned.apply()


def test_what_was_accepted_for_one_run_is_accepted_again_beside_what_tripped_anew(planned, monkeypatch):
    accepted = []
    monkeypatch.setattr(run.seeds, "append", lambda name, rows: accepted.extend(rows))
    of_before = plans.breaker("no_wave", reconciliation="contracts", tripped=False, can_be_accepted=True, accepted_by="Ana")
    planned.plan(ended("C-1"), breakers=(of_before, plans.breaker("no_wave", can_be_accepted=True)))
    run.accept(run.REFUSED_FIXES, "read it", "Ana", "")
    assert {(row["reconciliation"], row["check_name"]) for row in accepted} == {("contracts", "no_wave"), ("customers", "no_wave")}
    planned.plan(ended("C-1"), breakers=(of_before,))
    with pytest.raises(BadConfiguration, match="the last run refused nothing"):
        run.accept(run.REFUSED_FIXES, "read it", "Ana", "")


def test_accepting_twice_is_told_and_adds_no_row(planned, tmp_path, monkeypatch):
    seed = tmp_path / "accepted_counts.csv"
    shutil.copy(run.seeds.file_of("accepted_counts"), seed)
    monkeypatch.setattr(run.seeds, "file_of", lambda name: seed)
    planned.plan(ended("C-1"), breakers=(plans.breaker("no_wave", can_be_accepted=True),))
    run.accept(run.REFUSED_FIXES, "read it", "Ana", "")
    held = seed.read_text()
    with pytest.raises(BadConfiguration, match="It is accepted already"):
        run.accept(run.REFUSED_FIXES, "read it again", "Bo", "")
    assert seed.read_text() == held
    planned.plan(ended("C-1"), breakers=(plans.breaker("no_wave", can_be_accepted=True, observed=41.0),))
    run.accept(run.REFUSED_FIXES, "read it again", "Bo", "")
    assert seed.read_text().startswith(held) and seed.read_text() != held
