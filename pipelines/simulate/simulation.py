"""A world in motion: what is done in one system, what the sync carries to the other, and the truth that looks on."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipelines.simulate.evidence import Witness
from pipelines.simulate.people import People
from pipelines.simulate.sync import DAY, MINUTE, Agenda, Sync, Wave
from pipelines.simulate.truth import Truth
from pipelines.simulate.world import SYSTEMS, Change, Decision, Key, Row, World, mirrored, other

FIRST_NIGHT = datetime(2025, 3, 3, 3, tzinfo=UTC)
CUSTOMER_COLUMNS = ("email", "country")


@dataclass(frozen=True)
class Arrived:
    """A change of a few columns that the sync delivered, and the event that it replaced."""

    at: datetime
    change: Change
    before: Change


@dataclass
class Simulation:
    """`cut` are exports that come incomplete: night → system and table. `quiet`: nothing goes wrong in batches. days.py plays it."""

    seed: int
    customers: int = 400
    wave: Wave | None = None
    cut: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    quiet: bool = False

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311
        self.world, self.agenda, self.people = World(), Agenda(), People(self.rng)
        self.truth = Truth(self.world)
        self.witness = Witness(self.truth)
        wave_begins = FIRST_NIGHT + (self.wave.night - 1) * DAY if self.wave else None
        self.sync = Sync(self.rng, self.agenda, wave=self.wave, wave_begins=wave_begins)
        self.arrived: list[Arrived] = []
        self.went_wrong: list[tuple[datetime, str | None]] = []  # when, and with which customer, since the last morning
        self.set_aside: set[str] = set()  # customers that nothing else happens to

    def act(
        self,
        at: datetime,
        system: str,
        here: dict[Key, Row | None],
        *,
        there: dict[Key, Row | None] | None = None,
        told: dict[Key, Row] | None = None,
        fault: str | None = None,
        delay: timedelta | None = None,
    ) -> None:
        """Something is changed `here`, and what `there` is to become of it is sent. `fault` says what befalls it; None: chance does."""
        decision = Decision(at, system)
        there = mirrored(system, told or here) if there is None else there
        if fault is None:
            fault = self.sync.fault_of(at, Change(system, here, decision), self.world) if there else ""
            if fault:
                self.went_wrong.append((at, self.owner(next(iter(here)))))
        self.apply(at, Change(system, here, decision, fault))
        if there and not fault:
            change = Change(other(system), there, decision)
            self.sync.send(at, list(there), lambda due: self.deliver(due, change), delay)

    def deliver(self, at: datetime, change: Change) -> None:
        if all(row and "number" not in row and self.world.row(change.system, key) for key, row in change.rows.items()):
            old = {key: {name: self.world.row(change.system, key)[name] for name in row} for key, row in change.rows.items()}
            before = Change(change.system, old, Decision(change.decision.at - MINUTE, change.decision.system))
            self.arrived.append(Arrived(at, change, before))
        self.apply(at, change)

    def apply(self, at: datetime, change: Change) -> None:
        self.truth.after(at, change, self.world.apply(at, change))

    def later(self, at: datetime, days: float) -> datetime:
        """A day after, or more: `days` beyond that on average."""
        return at + DAY + timedelta(seconds=int(self.rng.expovariate(1 / (days * 86400))))

    def pick(self, at: datetime, status: str = "active", contracts: int = 1) -> str | None:
        """A customer of the CRM, by its status there; seldom one that somebody worked on within the day."""
        numbers = [n for n, row in self.world.tables["crm", "customers"].items() if row["status"] == status and n not in self.set_aside]
        for number in self.rng.sample(numbers, min(len(numbers), 30)):
            rows = [self.world.row("crm", key) for key in self.world.with_contracts("crm", number)]
            is_at_rest = all(at - row["updated_at"] > DAY for row in rows)
            if len(self.running("crm", number)) >= contracts and (is_at_rest or self.rng.random() < 0.1):
                return number
        return None

    def pick_in_step(self, at: datetime) -> str | None:
        """An active customer on which both systems agree, and that nobody has touched for a day."""
        for _ in range(30):
            number = self.pick(at)
            if number and self.status(number, "billing") and self.is_in_step(at, self.keys_of(number)):
                return number
        return None

    def is_in_step(self, at: datetime, keys: list[Key]) -> bool:
        rows = [self.world.row(system, key) for key in keys for system in SYSTEMS.values()]
        return not self.truth.differences_of(keys) and all(row and at - row["updated_at"] > DAY for row in rows)

    def keys_of(self, customer: str) -> list[Key]:
        """Of both systems; contracts come first."""
        keys = [key for system in SYSTEMS.values() for key in self.world.with_contracts(system, customer)]
        return sorted(set(keys))

    def key_for(self, system: str, customer: str, column: str) -> Key | None:
        """The row that holds a column of this customer: its own, or its first running contract's."""
        key = ("customers", customer)
        if column in CUSTOMER_COLUMNS:
            return key if self.world.row(system, key) else None
        return next(iter(self.running(system, customer)), None)

    def running(self, system: str, customer: str) -> list[Key]:
        keys = [("contracts", number) for number in self.world.contracts_of(system, customer)]
        return [key for key in keys if self.world.row(system, key)["status"] == "active"]

    def status(self, customer: str, system: str = "crm") -> str | None:
        record = self.world.record(system, ("customers", customer))
        return record and record.fields["status"]

    def owner(self, key: Key) -> str | None:
        """The number of the customer, of its own row or of a contract's."""
        rows = [self.world.row(system, key) for system in SYSTEMS.values()]
        return key[1] if key[0] == "customers" else next((row["customer"] for row in rows if row), None)
