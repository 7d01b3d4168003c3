"""The disaster: half of a side vanishes, in every way that FAULTS.md D names, with every fix switched on. Nothing of it is ever written.

The pull's own evidence says each time that all was read: what stops it is plausibility, the caps, the wave, and what was planned before.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
import recording
from disasters import FIXES, Disaster, Past, Tables, disasters, is_drift, policies, world
from engine import Engine
from rich.console import Console

from pipelines.failures import NotTrustworthy
from pipelines.fix import apply as applying
from pipelines.progress import Plain

FIRST_NIGHT = datetime(2026, 3, 3, 3, tzinfo=UTC)
DEPTHS = (0, 1, 3, 10)  # trusted nights before it
NIGHTS_A_DEPTH = 21
VARIANTS_A_NIGHT = 6  # three guards, and either system written
RESPOND = ("kinds", "intended_writes", "responses", "discrepancy_history", "planned_writes", "fix_breakers", "fix_plan")
RAISED = {"most_rows": 10_000, "most_share": 1}


class Guard(NamedTuple):
    """What is left to stop the plan of a trusted run, where people have let go of the rest."""

    name: str
    caps: dict
    planned_before: int  # by an earlier run, and let through
    is_wave_accepted: bool


CAPS = Guard("caps", {}, 10_000, is_wave_accepted=True)
FIRST_PLAN = Guard("more than before", RAISED, 0, is_wave_accepted=True)
WAVE = Guard("wave", RAISED, 10_000, is_wave_accepted=False)
GUARDS = (CAPS, FIRST_PLAN, WAVE)


class Nights:
    """An engine in which trusted nights pass, and in which the next one is played in many ways."""

    def __init__(self, engine: Engine, state: Path, server: recording.Recording):
        self.engine, self.state, self.server = engine, state, server
        self.passed, self.turn = 0, count()
        self.try_out(world(0))

    def tables(self) -> Tables:
        return world(self.passed)

    def as_of(self) -> datetime:
        return FIRST_NIGHT + timedelta(days=self.passed)

    def try_out(self, tables: Tables) -> None:
        """As the next night, and yet it stays the next."""
        self.engine.night(self.as_of(), publish=False, **tables)

    def let_pass(self, tables: Tables) -> None:
        self.engine.night(self.as_of(), **tables)
        self.passed += 1

    def pass_until(self, depth: int) -> None:
        while self.passed < depth:
            self.let_pass(self.tables())
            assert not self.engine.refusals()

    def written(self, guard: Guard, switches: tuple[str, str, str]) -> list[dict]:
        """What nothing stops of the last night's plan, under these policies."""
        self.engine.seed("response_policies", policies(*switches, **guard.caps))
        self.engine.connection.execute("update published.marts.runs set fixes_planned = ?", [guard.planned_before])
        self.engine.seed("accepted_counts", self.accepted_waves() if guard.is_wave_accepted else [])
        self.engine.make_again(*RESPOND)
        return self.engine.rows("from warehouse.marts.fix_plan where not is_stopped")

    def accepted_waves(self) -> list[dict]:
        """As a person would accept any wave of the last run."""
        last = self.engine.rows("from published.marts.runs where run_seq < (select run_seq from snapshot.trust.this_run)")
        told = {"check_name": "no_wave", "observed": 1e6, "accepted_by": "Ana", "accepted_at": self.as_of()}
        return [{"reconciliation": row["reconciliation"], "run_id": row["run_id"]} | told for row in last]

    def planned(self) -> int:
        return self.engine.rows("select count(*) as planned from warehouse.marts.fix_plan")[0]["planned"]

    def hold(self, disaster: Disaster, guards: Iterable[Guard] = GUARDS, reached: Counter | None = None) -> None:
        """Fails where any guard, alone, lets a write through that comes of the disaster, whichever system is written."""
        reached = Counter() if reached is None else reached
        fixes = FIXES[next(self.turn) % len(FIXES)]
        for switches in (("crm", *fixes), ("billing", *fixes)):
            for guard in guards:
                through = [row for row in self.written(guard, switches) if disaster.has_struck(row) and not is_drift(row)]
                assert not through, (disaster, guard.name, switches, self.passed, through[:3])
                if not self.planned():  # nor under any other guard: they stop, and plan nothing
                    reached["nothing planned"] += len(guards)
                    break
                self.apply()
                reached[guard.name] += 1

    def apply(self) -> None:
        """The plan, stopped as it is, through the command's own path to the server. What drifted by the way may be written."""
        if self.engine.rows("from warehouse.marts.fix_plan where not is_stopped"):
            return
        self.engine.connection.execute(f"attach '{self.state}/warehouse.duckdb' as state; create schema if not exists state.marts")
        for table, database in {"runs": "warehouse", "fix_plan": "warehouse", "fix_breakers": "warehouse", "fix_log": "published"}.items():
            self.engine.connection.execute(f"create or replace table state.marts.{table} as from {database}.marts.{table}")
        self.engine.connection.execute("detach state")
        with pytest.raises(NotTrustworthy, match="is stopped by"):
            applying.apply(Plain(Console(quiet=True)))
        assert not self.server.requests


@contextmanager
def played(state: Path) -> Iterator[Nights]:
    recording.use_recording_target()
    with Engine() as engine, recording.Recording({}) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in (server.environment | {"TALLYSTICK_STATE": str(state)}).items():
            patch.setenv(name, value)
        patch.setattr(applying, "look", lambda *_: pytest.fail("it read again what it may not write"))
        yield Nights(engine, state, server)


@pytest.fixture(scope="module")
def nights(tmp_path_factory) -> Iterator[Nights]:
    """Shared by tests that follow each other: the nights only pass."""
    with played(tmp_path_factory.mktemp("state")) as nights:
        yield nights


@pytest.mark.parametrize("depth", DEPTHS)
def test_nothing_of_a_disaster_is_written(nights, depth):
    start = DEPTHS.index(depth) * NIGHTS_A_DEPTH
    reached = play(nights, depth, disasters()[start : start + NIGHTS_A_DEPTH])
    assert reached.total() == NIGHTS_A_DEPTH * VARIANTS_A_NIGHT
    assert all(reached[guard.name] >= 5 for guard in GUARDS), reached


@pytest.mark.sweep
@pytest.mark.parametrize("depth", DEPTHS)
def test_nothing_of_any_disaster_is_written(tmp_path, depth):
    with played(tmp_path) as nights:
        play(nights, depth, disasters())


def play(nights: Nights, depth: int, chosen: Iterable[Disaster]) -> Counter:
    nights.pass_until(depth)
    reached = Counter()
    for disaster in chosen:
        nights.try_out(disaster.strike(nights.tables()))
        nights.hold(disaster, reached=reached)
    assert not nights.server.requests
    return reached


def test_what_drifts_by_the_way_is_written(nights):
    """The guards do not stop everything, or the disasters would show nothing."""
    nights.pass_until(10)
    nights.try_out(nights.tables())
    written = [row for fixes in FIXES for system in ("crm", "billing") for row in nights.written(WAVE, (system, *fixes))]
    assert written and all(is_drift(row) for row in written)


LASTING = [
    Disaster("vanish", ("crm", "customers"), "", "19 %"),
    Disaster("vanish", ("billing", "subscriptions"), "", "a wave", "by prefix"),
    Disaster("lose a column", ("crm", "customers"), "status", "a wave"),
    Disaster("change a column", ("crm", "deals"), "amount", "19 %", "the last pages"),
]


@pytest.mark.parametrize("disaster", LASTING, ids=str)
def test_a_wave_is_no_safer_a_night_later(nights, disaster):
    """The second night lists nothing new, and a count of what is new no longer tells the wave."""
    nights.pass_until(10)
    past, passed = Past(nights.engine), nights.passed
    for _ in range(3):
        nights.let_pass(disaster.strike(nights.tables()))
        assert not nights.engine.refusals()
        reached = Counter()
        nights.hold(disaster, (CAPS, WAVE), reached)
        assert all(reached[guard.name] for guard in (CAPS, WAVE))
    past.come_back()
    nights.passed = passed


@pytest.mark.parametrize(("left", "trusted_nights"), [(0.79, 0), (0.81, 1), (0.9, 3)], ids=str)
def test_what_erodes_night_by_night_is_not_written(nights, left, trusted_nights):
    nights.pass_until(10)
    past, passed = Past(nights.engine), nights.passed
    trusted = 0
    for night in range(1, 5):
        tables = nights.tables()
        kept = tables["billing"]["subscriptions"]
        tables["billing"]["subscriptions"] = kept[: round(len(kept) * left**night)]
        nights.let_pass(tables)
        trusted += not nights.engine.refusals()
        nights.hold(Disaster("vanish", ("billing", "subscriptions"), "", "all"), (CAPS, WAVE))
    assert trusted == trusted_nights
    past.come_back()
    nights.passed = passed


def test_a_half_that_somebody_accepted_by_mistake_is_not_written(nights):
    """Who accepts the counts says that the records are gone, and not that they be deleted on the other side."""
    nights.pass_until(10)
    past, passed = Past(nights.engine), nights.passed
    disaster = Disaster("vanish", ("crm", "customers"), "", "a third")
    nights.let_pass(disaster.strike(nights.tables()))
    refused = nights.engine.rows("from snapshot.trust.checks where not passed")
    assert refused and all(check["can_be_accepted"] for check in refused)
    told = {"reason": "they left", "accepted_by": "Ana", "accepted_at": nights.as_of()}
    accepted = [{name: check[name] for name in ("reconciliation", "run_id", "side", "check_name", "observed")} | told for check in refused]
    for _ in range(3):
        nights.engine.seed("accepted_counts", accepted)
        nights.let_pass(disaster.strike(nights.tables()))
        assert not nights.engine.refusals()
        reached = Counter()
        nights.hold(disaster, reached=reached)
        assert all(reached[guard.name] for guard in GUARDS)
    nights.engine.seed("accepted_counts")
    past.come_back()
    nights.passed = passed
