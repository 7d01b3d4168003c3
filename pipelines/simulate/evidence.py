"""What nights alone can know of the truth: where two truths leave the same traces, nobody can say which it was.

A trusted night sees values, not changes. It is enough where it shows which side moved, and in what order where order matters; not
where the difference is older than the first night, a value came and went in between, or another change covers a record's time stamp.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.simulate import truth
from pipelines.simulate.truth import OPPOSITE, Cell, Difference, Pairing, Truth

NEVER = object()
EVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class Memory:
    """What the trusted nights saw of one cell."""

    base: Any = NEVER  # both said so on the last trusted night on which they agreed
    sighting: dict[str, Any] | None = None  # both values on the last trusted night, where they differed
    is_muddled: bool = False  # more happened than the nights can tell apart
    left_by: dict[Any, str | None] = field(default_factory=dict)  # an earlier agreed value → which side left it first

    def look(self, cell: Cell, pairing: Pairing, difference: Difference | None) -> None:
        """One trusted night. `difference` is what it lists of the cell."""
        writes = cell.writes
        if len(pairing.sides) < 2:
            self.base, self.sighting, self.is_muddled = NEVER, None, False
        elif cell.agrees:
            value = cell.values["left"]
            if self.base is not NEVER and self.base != value:
                self.left_by[self.base] = self.leader(cell, pairing)
            self.base, self.sighting, self.is_muddled = value, None, False
        elif difference is None:  # out of scope: not looked at, so nothing is known of when it began
            self.base, self.sighting = NEVER, None
        else:
            came_and_went = self.sighting == cell.values and any(writes.values())
            self.is_muddled |= came_and_went or (all(writes.values()) and sum(writes.values()) > 2)
            if self.sighting != cell.values or came_and_went:
                difference.evidence_allows = self.allows(cell, pairing, difference)
            self.sighting = dict(cell.values)
        cell.writes = dict.fromkeys(writes, 0)

    def leader(self, cell: Cell, pairing: Pairing) -> str | None:
        """Which side left the base first, where the nights show it."""
        if self.sighting:
            moved = [side for side, value in self.sighting.items() if value != self.base]
            return moved[0] if len(moved) == 1 else None
        if cell.writes == {"left": 1, "right": 1} and stamps_tell(cell, pairing):
            return min(cell.written_at, key=cell.written_at.get)
        return None

    def allows(self, cell: Cell, pairing: Pairing, difference: Difference) -> bool:
        stale, cause = difference.stale_side, difference.cause
        if cause == truth.UNMAPPED:
            return True
        if self.base is NEVER:
            return False
        moved = [side for side, value in cell.values.items() if value != self.base]
        for behind, ahead in OPPOSITE.items() if self.sighting and len(moved) == 2 else ():
            if cell.values[behind] == self.sighting[ahead] != cell.values[ahead]:
                is_later = cell.written_at[behind] > cell.written_at[ahead]
                return stale == behind and stamps_tell(cell, pairing) and cause == (truth.OLDER if is_later else truth.CHANGED)
        if self.is_muddled:
            return False
        if len(moved) == 1:
            mover, unmoved = moved[0], OPPOSITE[moved[0]]
            left_by = self.left_by.get(cell.values[mover], NEVER)
            if cell.writes[unmoved]:
                return False
            if cause == truth.OLDER:
                return stale == mover and left_by == unmoved
            return stale == unmoved and (cause == truth.ENDED or (cause == truth.CHANGED and left_by in (NEVER, mover)))
        return cause == truth.BOTH


def stamps_tell(cell: Cell, pairing: Pairing) -> bool:
    """Whether each record was last changed when this cell was."""
    return all(pairing.sides[side].updated_at == at for side, at in cell.written_at.items())


@dataclass
class Witness:
    """Who sees nothing but the trusted nights of each pair."""

    kept: Truth
    cells: dict[tuple, Memory] = field(default_factory=dict)
    records: dict[tuple, dict[str, bool]] = field(default_factory=dict)  # side → in scope and agreed with all of the other side
    last: dict[str, datetime] = field(default_factory=dict)  # pair → its last trusted night

    def look(self, pair: str, as_of: datetime) -> None:
        """A trusted night of a pair: says of each new difference whether it can be known."""
        for number in self.kept.take_touched(pair):
            key = (pair, number)
            pairing = self.kept.pairings[key]
            for (bucket, _), difference in pairing.differences.items():
                if bucket != "conflict" and difference.out_of_step_since > self.last.get(pair, EVER):
                    difference.evidence_allows = self.allows(pair, self.records.get(key, {}), difference)
            for name, cell in pairing.cells.items():
                self.cells.setdefault((*key, name), Memory()).look(cell, pairing, pairing.differences.get(("conflict", name)))
            self.records[key] = {side: record.is_in_scope and pairing.agrees for side, record in pairing.sides.items()}
        self.last[pair] = as_of

    def allows(self, pair: str, before: dict[str, bool], difference: Difference) -> bool:
        """Of a record on one side alone."""
        if difference.cause == truth.TWO_KEYS:
            return True
        if pair not in self.last:
            return False
        if difference.cause == truth.CREATED:
            return difference.stale_side not in before
        gone_from = OPPOSITE[difference.stale_side]
        return len(before) == 2 and difference.cause == (truth.GONE if before[gone_from] else truth.ENDED)
