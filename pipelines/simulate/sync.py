"""What carries a change from one system to the other, after minutes or hours, or not at all."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipelines.simulate.world import Change, Key, World

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LOST_WEBHOOK, HALF_FINISHED_RUN, SLICE_FAILS = "lost webhook", "half-finished run", "one slice fails"


@dataclass
class Agenda:
    """What is still to happen, in order of time."""

    heap: list[tuple[datetime, int, Callable[[datetime], object]]] = field(default_factory=list)
    added: int = 0

    def add(self, at: datetime, do: Callable[[datetime], object]) -> None:
        self.added += 1
        heapq.heappush(self.heap, (at, self.added, do))

    def run(self, until: datetime) -> None:
        while self.heap and self.heap[0][0] <= until:
            at, _, do = heapq.heappop(self.heap)
            do(at)


@dataclass(frozen=True)
class Wave:
    """From a night on, nothing of one slice arrives: column and value, or column 'created_at' for all that is created from then on."""

    night: int
    column: str = "plan"
    value: str = "team"
    changes: int = 12  # in that slice a day, beside the usual ones


@dataclass
class Sync:
    rng: random.Random
    agenda: Agenda
    loss: float = 0.03
    down: tuple[datetime, datetime] | None = None  # a run that stopped half-way: nothing sent in between arrives
    wave: Wave | None = None
    wave_begins: datetime | None = None
    last_due: dict[Key, datetime] = field(default_factory=dict)

    def fault_of(self, at: datetime, change: Change, world: World) -> str:
        """What keeps this change from arriving; empty: it will."""
        if self.wave and at >= self.wave_begins and self.is_in_slice(change, world):
            return SLICE_FAILS
        if self.down and self.down[0] <= at < self.down[1]:
            return HALF_FINISHED_RUN
        return LOST_WEBHOOK if self.rng.random() < self.loss else ""

    def is_in_slice(self, change: Change, world: World) -> bool:
        rows = [world.row(change.system, key) or {} for key in change.rows]
        if self.wave.column == "created_at":
            return any(row.get("created_at", self.wave_begins - DAY) >= self.wave_begins for row in rows)
        return any(row.get(self.wave.column) == self.wave.value for row in rows)

    def send(self, at: datetime, keys: list[Key], deliver: Callable[[datetime], object], delay: timedelta | None = None) -> None:
        """In the order of sending for each record, unless a `delay` is given: that is how the order goes wrong."""
        due = at + (delay or self.usual_delay())
        if delay is None:
            due = max([due, *(self.last_due[key] + MINUTE for key in keys if key in self.last_due)])
            self.last_due |= dict.fromkeys(keys, due)
        self.agenda.add(due, deliver)

    def usual_delay(self) -> timedelta:
        """Minutes; one in eight waits for hours, and may not have come when the night's export is taken."""
        if self.rng.random() < 0.88:
            return MINUTE + timedelta(seconds=int(self.rng.expovariate(1 / 1200)))
        return HOUR + timedelta(seconds=self.rng.randrange(19 * 3600))
