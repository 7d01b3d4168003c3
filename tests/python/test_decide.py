"""What people decide: `tallystick decide` says what is wrong or appends the row, and the next run does what it says."""

import csv
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from conftest import ROOT, World, house
from engine import Engine

from pipelines import seeds, settings
from pipelines.decide import decide
from pipelines.failures import BadConfiguration
from pipelines.show import IDLE_DECISIONS

ANY = dict.fromkeys(("reconciliation", "bucket", "field", "cause"))
STATUS = ANY | {"reconciliation": "customers", "bucket": "conflict", "field": "status"}
HEADER = "discrepancy_id,reconciliation,bucket,field,cause,decision,decided_by,decided_at,until,note"


@pytest.fixture
def seed(tmp_path, monkeypatch) -> Path:
    """decisions.csv of a project of its own, at nine on the morning after the sample's first night."""
    shutil.copytree(ROOT / "seeds", tmp_path / "seeds")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setenv("TALLYSTICK_AS_OF", "2026-03-03T09:00:00Z")
    return tmp_path / "seeds/decisions.csv"


@pytest.fixture
def published(first_night) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(first_night.warehouse, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def one(published: duckdb.DuckDBPyConnection, condition: str) -> tuple[str, str]:
    """The id and key of a difference."""
    found = published.execute(f"select discrepancy_id, record_key from marts.discrepancies where {condition} order by all limit 1")
    return found.fetchone()


def test_a_difference_is_decided_by_its_id(seed, published):
    each, key = one(published, "status = 'open' and field = 'status' and reconciliation = 'contracts'")
    decide(published, "accept", each, ANY, "Ana", "2026-12-31", "moves, in January")
    note = f'"contracts {key} status: moves, in January"'
    assert seed.read_text() == f"{HEADER}\n{each},,,,,accept,Ana,2026-03-03T09:00:00Z,2026-12-31,{note}\n"


def test_a_record_is_decided_by_its_key_as_either_system_writes_it(seed, published):
    _, key = one(published, "reconciliation = 'contracts' and status = 'open'")
    found = decide(published, "quarantine", f" {key.lower()}\t", ANY, "Ana", None, "")
    ids = published.execute("select discrepancy_id from marts.discrepancies where record_key = ?", [key]).fetchall()
    assert sorted(row["discrepancy_id"] for row in csv.DictReader(seed.open(newline=""))) == sorted(each for (each,) in ids)
    assert {row["note"].rsplit(" ", 1)[0] for row in csv.DictReader(seed.open(newline=""))} == {f"contracts {key}"}
    assert len(found) == len(ids)


def test_a_kind_is_decided_in_one_row(seed, published):
    found = decide(published, "accept", None, STATUS, "Ana", None, "")
    assert len(found) == 34
    assert seed.read_text().splitlines()[1:] == [",customers,conflict,status,,accept,Ana,2026-03-03T09:00:00Z,,"]


def test_a_cause_with_a_comma_stays_one_cell(seed):
    row = dict.fromkeys(HEADER.split(","), "") | {"cause": "created here, never arrived there", "note": 'so he "said"'}
    seeds.append("decisions", [row])
    assert list(csv.DictReader(seed.open(newline=""))) == [row]


def test_a_seed_without_a_last_line_end_is_gone_on_with(seed, published):
    seed.write_text(HEADER)
    decide(published, "accept", None, STATUS, "Ana", None, "")
    assert len(seed.read_text().splitlines()) == 2


WRONG = [
    ({"kind": ANY}, "needs a difference, a key, or a kind"),
    ({"by": ""}, "decide needs --by"),
    ({"by": "A\x1bna"}, "no control characters"),
    ({"note": "two\nlines"}, "no control characters"),
    ({"until": "31.12.2026"}, "--until must be a date such as 2026-12-31"),
    ({"until": "2026-02-30"}, "--until must be a date"),
    ({"until": "2026-03-02"}, "--until 2026-03-02 is over"),
    ({"what": "C-99999"}, "There is no current difference of C-99999"),
    ({"kind": STATUS | {"bucket": "left_only"}}, "There is no current difference of customers, left_only, status"),
    ({"kind": STATUS | {"cause": "agreed before, gone now"}}, "There is no current difference"),
    ({"decision": "release"}, "there is nothing to release"),
    ({"decision": "fix"}, "can't be fixed: no policy row says what to write where"),
]


@pytest.mark.parametrize(("change", "sentence"), WRONG)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(seed, published, change, sentence):
    before = seed.read_bytes()
    told = {"decision": "accept", "what": None, "kind": STATUS, "by": "Ana", "until": None, "note": ""} | change
    with pytest.raises(BadConfiguration) as refused:
        decide(published, **told)
    assert sentence in str(refused.value)
    assert "Nothing was written" in str(refused.value)
    assert seed.read_bytes() == before


def test_the_last_day_may_be_today(seed, published):
    decide(published, "accept", None, STATUS, "Ana", "2026-03-03", "")
    assert seed.read_text().splitlines()[1].endswith(",2026-03-03,")


def test_a_seed_with_other_columns_is_left_as_it_is(seed, published):
    seed.write_text("discrepancy_id,decision\n")
    with pytest.raises(BadConfiguration, match=r"seeds/decisions.csv has the columns discrepancy_id, decision"):
        decide(published, "accept", None, STATUS, "Ana", None, "")
    assert seed.read_text() == "discrepancy_id,decision\n"


FIRST_NIGHT = datetime(2026, 3, 3, 3, tzinfo=UTC)
TOLD = {"decided_by": "Ana", "decided_at": "2026-03-03T09:00:00Z"}


class Nights:
    """House nights on which one country differs, and what the last one says of it."""

    def __init__(self, engine: Engine):
        self.engine, self.passed = engine, 0

    def play(self, billing: str = "BE", decisions: list[dict] | None = None) -> dict:
        if decisions is not None:
            self.engine.seed("decisions", [TOLD | row for row in decisions])
        tables = house(range(30))
        tables["billing"]["customers"][3]["country"] = billing
        self.engine.night(FIRST_NIGHT + timedelta(days=self.passed), **tables)
        assert not self.engine.refusals()
        self.passed += 1
        found = self.engine.rows("from warehouse.marts.discrepancies")
        return found[0] if found else {}

    def idle(self) -> list[str]:
        self.engine.connection.execute("use warehouse")
        return [row["state"] for row in self.engine.rows(IDLE_DECISIONS)]


@pytest.fixture
def nights() -> Iterator[Nights]:
    with Engine() as engine:
        yield Nights(engine)


def test_what_is_accepted_is_off_the_list_until_a_value_changes(nights):
    each = nights.play()["discrepancy_id"]
    accepted = nights.play(decisions=[{"discrepancy_id": each, "decision": "accept"}])
    assert (accepted["status"], accepted["response"], accepted["response_reason"]) == ("accepted", "report", "accept by Ana")
    last = "select open, accepted from warehouse.marts.runs where reconciliation = 'customers' order by run_seq desc limit 1"
    assert nights.engine.rows(last) == [{"open": 0, "accepted": 1}]
    changed = nights.play("FR")
    assert changed["status"] == "open"
    assert "accept by Ana lapsed, a value changed since" in changed["response_reason"]
    assert nights.idle() == ["lapsed"]
    assert nights.play("BE")["status"] == "open", "what lapsed stays lapsed"
    assert nights.idle() == [], "told once"
    again = [{"discrepancy_id": each, "decision": "accept"}, {"discrepancy_id": each, "decision": "accept", "decided_by": "Ben"}]
    again[1]["decided_at"] = "2026-03-06T09:00:00Z"
    assert nights.play("BE", again)["status"] == "accepted", "decided again"


def test_what_is_accepted_comes_back_on_the_day_after_the_last(nights):
    each = nights.play()["discrepancy_id"]
    accepted = nights.play(decisions=[{"discrepancy_id": each, "decision": "accept", "until": "2026-03-05"}])
    assert accepted["response_reason"] == "accept by Ana until 5 March 2026"
    assert nights.play()["status"] == "accepted", "the last day"
    assert nights.play()["status"] == "open"
    assert nights.idle() == ["expired"]
    assert nights.play()["status"] == "open"
    assert nights.idle() == []


def test_what_was_resolved_and_comes_back_is_to_be_decided_anew_and_a_kind_is_not(nights):
    each = nights.play()["discrepancy_id"]
    nights.play(decisions=[{"discrepancy_id": each, "decision": "accept"}])
    assert nights.play("NL") == {}
    assert nights.idle() == ["matches nothing"]
    back = nights.play("BE")
    assert (back["status"], "it was resolved since" in back["response_reason"]) == ("open", True)
    pattern = [{"reconciliation": "customers", "field": "country", "decision": "accept"}]
    nights.play("NL", pattern)
    assert nights.play("BE")["status"] == "accepted"


def test_a_fix_that_was_decided_lapses_when_its_policy_row_says_to_write_something_else(nights):
    """Nobody has said yes to that."""
    to_billing = {"field": "country", "cause": "unknown", "response": "report", "operation": "update", "writes_to": "billing",
                  "system_of_record": "crm"}  # fmt: skip
    to_crm = to_billing | {"writes_to": "crm", "system_of_record": "billing"}
    each = nights.play()["discrepancy_id"]
    nights.engine.seed("response_policies", [to_billing])
    assert nights.play(decisions=[{"discrepancy_id": each, "decision": "fix"}])["response"] == "fix"
    nights.engine.seed("response_policies", [])
    assert "no policy row says" in nights.play()["response_reason"]
    nights.engine.seed("response_policies", [to_billing])
    assert nights.play()["response"] == "fix", "as it was"
    nights.engine.seed("response_policies", [to_crm])
    turned = nights.play()
    assert turned["response"] == "report"
    assert "fix by Ana lapsed, its policy row says to write something else since" in turned["response_reason"]
    assert nights.idle() == ["lapsed"]
    nights.engine.seed("response_policies", [to_billing])
    assert nights.play()["response"] == "report", "what lapsed stays lapsed"


def test_a_decision_on_one_beats_one_on_its_kind(nights):
    each = nights.play()["discrepancy_id"]
    pattern = {"field": "country", "decision": "accept", "decided_at": "2026-03-09T09:00:00Z"}
    told = nights.play(decisions=[pattern, {"discrepancy_id": each, "decision": "quarantine"}])
    assert (told["status"], told["response"]) == ("quarantined", "quarantine")
    (kept,) = nights.engine.rows("from warehouse.marts.quarantine")
    assert kept["release_action"] == f'tallystick decide release {each} --by "…" --note "…"'
    assert '"country":"NL"' in kept["left_record"] and '"country":"BE"' in kept["right_record"]
    assert nights.play(decisions=[{"discrepancy_id": each, "decision": "release"}])["status"] == "open"


def test_decide_and_the_next_run(first_night: World, project, tmp_path):
    """The command itself: accepted, and out of what is open."""
    world = first_night.copy(tmp_path / "world")
    world.project = project
    each, key = world.query("select discrepancy_id, record_key from marts.discrepancies where status = 'open' order by all")[0]
    ran = world.run("decide", "accept", each, "--by", "Ana", "--note", "known", TALLYSTICK_AS_OF="2026-03-03T09:00:00Z")
    assert ran.code == 0, ran.err
    assert key in ran.out and "It counts from the next trusted run on: make reconcile" in ran.out
    world.use_night(2)
    assert world.reconcile("--quiet").code == 0
    assert world.query("select status, response_reason from marts.discrepancies where discrepancy_id = ?", each) == [
        ("accepted", "accept by Ana")
    ]
    assert world.query("select sum(accepted) from marts.runs where run_seq = 2") == [(1,)]
    nothing = world.run("decide", "accept", "C-99999", "--by", "Ana")
    assert nothing.code == 2 and nothing.says("There is no current difference of C-99999")
