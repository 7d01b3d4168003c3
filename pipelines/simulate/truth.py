"""What is really out of step: since when, which side is stale, and why. Kept from the changes themselves, not from comparing tables.

Every value carries the decision it comes from, so the truth knows which of two values should stand. What the nights can know
of it is evidence.py's matter.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from pipelines.simulate.world import FIELDS, KNOWN, SYSTEMS, Change, Decision, Key, Record, World, agree

CREATED = "created here, never arrived there"
ENDED = "removed or ended there, still here"
CHANGED = "changed here, never arrived there"
BOTH = "changed on both sides"
OLDER = "an older value overwrote a newer one"
GONE = "agreed before, gone now"
TWO_KEYS = "one record under two keys"
UNMAPPED = "a status word nobody mapped"

ON_ITS_WAY = "on its way"  # no fault yet
REKEYED = "re-keyed customer"
OPPOSITE = {"left": "right", "right": "left"}


@dataclass
class Cell:
    """One field of one record on both sides."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)  # by side; a side without the record has none
    versions: dict[str, Decision] = field(default_factory=dict)
    newest: dict[str, Decision] = field(default_factory=dict)  # that the side ever held
    written_at: dict[str, datetime] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=lambda: {"left": 0, "right": 0})  # since the last trusted night
    agreed_at: datetime | None = None
    differs_since: datetime | None = None
    fault: str = ON_ITS_WAY

    @property
    def agrees(self) -> bool:
        return agree(self.name, self.values["left"], self.values["right"])

    def move(self, at: datetime, side: str, value: Any, change: Change) -> None:
        self.values[side], self.versions[side], self.written_at[side] = value, change.decision, at
        self.newest[side] = max(change.decision, self.newest.get(side, change.decision))
        self.writes[side] += 1
        if len(self.values) < 2:
            return
        if self.agrees:
            self.agreed_at, self.differs_since, self.fault = at, None, ON_ITS_WAY
            latest = max(self.versions.values())
            self.versions, self.newest = dict.fromkeys(SYSTEMS, latest), dict.fromkeys(SYSTEMS, latest)
        else:
            self.differs_since = self.differs_since or at
            self.fault = change.fault or self.fault

    def leave(self, side: str) -> None:
        for kept in (self.values, self.versions, self.newest, self.written_at):
            kept.pop(side, None)
        self.agreed_at = self.differs_since = None

    def judged(self) -> tuple[str, str]:
        """Stale side and cause."""
        if self.name == "status" and not KNOWN.issuperset(self.values.values()):
            return "unknown", UNMAPPED
        left, right = self.versions["left"], self.versions["right"]
        decided_apart = (left.system, right.system) == (SYSTEMS["left"], SYSTEMS["right"])
        if decided_apart and self.agreed_at and min(left.at, right.at) > self.agreed_at:
            return "both", BOTH
        stale = "left" if left.at < right.at else "right"
        if self.newest[stale].at >= self.versions[OPPOSITE[stale]].at:
            return stale, OLDER
        if self.name == "status" and self.values[OPPOSITE[stale]] == "inactive":
            return stale, ENDED
        return stale, CHANGED


@dataclass
class Difference:
    out_of_step_since: datetime
    stale_side: str
    cause: str
    fault: str
    evidence_allows: bool = False


@dataclass
class Pairing:
    """One key of a pair: where it is, its cells, and what is out of step in it."""

    cells: dict[str, Cell]
    sides: dict[str, Record] = field(default_factory=dict)
    alone_because: tuple[str, str] = ("", "")  # stale side and cause, where it is on one side
    differences: dict[tuple[str, str], Difference] = field(default_factory=dict)  # by bucket and field

    @property
    def is_in_scope(self) -> bool:
        return any(record.is_in_scope for record in self.sides.values())

    @property
    def agrees(self) -> bool:
        return len(self.sides) == 2 and all(cell.agrees for cell in self.cells.values())

    def meet(self, at: datetime, sides: dict[str, Record], change: Change) -> None:
        if len(sides) == 1 and set(sides) != set(self.sides):
            self.alone_because = self.why_alone(*sides, change)
        for side in SYSTEMS:
            for name, cell in self.cells.items():
                if side not in sides:
                    cell.leave(side)
                elif side not in cell.values or cell.values[side] != sides[side].fields[name]:
                    cell.move(at, side, sides[side].fields[name], change)
        self.sides = sides
        self.differences = {
            identity: self.differences.get(identity) or Difference(at, *self.alone_because, change.fault or ON_ITS_WAY)
            for identity in self.found()
        }
        for (bucket, name), difference in self.differences.items():
            if bucket == "conflict":
                cell = self.cells[name]
                difference.out_of_step_since, difference.fault = cell.differs_since, cell.fault
                difference.stale_side, difference.cause = cell.judged()

    def why_alone(self, here: str, change: Change) -> tuple[str, str]:
        """Called before the cells have moved."""
        if change.fault == REKEYED:
            return "unknown", TWO_KEYS
        if len(self.sides) < 2:
            return OPPOSITE[here], CREATED
        return here, GONE if self.agrees and self.sides[OPPOSITE[here]].is_in_scope else ENDED

    def found(self) -> list[tuple[str, str]]:
        if not self.is_in_scope:
            return []
        if len(self.sides) == 1:
            return [(f"{next(iter(self.sides))}_only", "")]
        return [("conflict", name) for name, cell in self.cells.items() if not cell.agrees]


class Truth:
    def __init__(self, world: World):
        self.world = world
        self.pairings: dict[Key, Pairing] = {}
        self.touched: dict[str, dict[str, None]] = {pair: {} for pair in FIELDS}  # keys, since the pair's last trusted night

    def after(self, at: datetime, change: Change, keys: list[Key]) -> None:
        """Takes in what `change` did to the records of `keys`."""
        for key in keys:
            pair, number = key
            pairing = self.pairings.setdefault(key, Pairing({name: Cell(name) for name in FIELDS[pair]}))
            records = {side: self.world.record(system, key) for side, system in SYSTEMS.items()}
            pairing.meet(at, {side: record for side, record in records.items() if record}, change)
            self.touched[pair][number] = None

    def differences_of(self, keys: list[Key]) -> list[tuple[Key, str, str, Difference]]:
        """Key, bucket and field of what is out of step in these records."""
        return [
            (key, *identity, difference)
            for key in keys
            if key in self.pairings
            for identity, difference in self.pairings[key].differences.items()
        ]

    def take_touched(self, pair: str) -> list[str]:
        touched, self.touched[pair] = self.touched[pair], {}
        return list(touched)

    def rows(self) -> list[dict[str, Any]]:
        """What is out of step now, one row a difference."""
        return [
            {"reconciliation": pair, "record_key": number, "bucket": bucket, "field": name, **asdict(difference)}
            for (pair, number), pairing in self.pairings.items()
            for (bucket, name), difference in pairing.differences.items()
        ]
