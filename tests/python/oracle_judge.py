"""Which side is stale, since when and why: the three-way table in plain Python. No SQL, and no code of the project.

The base of a merge is the last state on which both sides agreed. Literal and slow on purpose: it remembers every trusted
night whole where the models store as little as they can, so that what they leave out must not have mattered.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from oracle import Comparison, Identity, Ledger, Record, Value, agreement, latest

CREATED = "created here, never arrived there"
ENDED = "removed or ended there, still here"
CHANGED = "changed here, never arrived there"
BOTH_CHANGED = "changed on both sides"
OVERWRITTEN = "an older value overwrote a newer one"
GONE = "agreed before, gone now"
TWO_KEYS = "one record under two keys"
UNMAPPED = "a status word nobody mapped"
UNKNOWN = "unknown"
CAUSES = {CREATED, ENDED, CHANGED, BOTH_CHANGED, OVERWRITTEN, GONE, TWO_KEYS, UNMAPPED, UNKNOWN}

OTHER = {"left": "right", "right": "left"}


class Verdict(NamedTuple):
    cause: str
    stale_side: str
    rule: str  # of the table; for a test to ask whether it was reached
    moved_at: datetime | None = None  # when it began, where a system says so itself


class Judgement(NamedTuple):
    """What must stand in the row of a difference."""

    cause: str
    stale_side: str
    out_of_step_since: datetime
    is_since_exact: bool
    agreed_at: datetime | None
    base_value: str | None


class Before(NamedTuple):
    """One key at the last trusted run before the one that opened a difference. No run at all: no clock."""

    as_of: datetime | None = None
    left: Record | None = None
    right: Record | None = None
    is_clear: bool = True  # false: the key stood twice, so that nobody knows which record it was


class Earlier(NamedTuple):
    """A value that both sides had, until they changed it."""

    value: object
    agreed_until: datetime
    led_by: str | None


@dataclass(frozen=True)
class Line:
    before: Before
    judgement: Judgement
    rule: str
    held: tuple[Record | None, Record | None]  # both sides at the last sighting
    earlier: list[Earlier] = field(default_factory=list)  # of this key and field, as it opened
    last_agreed: dict[str, Before] = field(default_factory=dict)  # field → when it last did; of a record that one side lacks


class Judge:
    """One pair. One call of `take` a trusted run; an untrusted run is no call."""

    def __init__(self, pair: str) -> None:
        self.pair = pair
        self.ledger = Ledger()
        self.lines: dict[Identity, Line] = {}
        self.earlier: dict[tuple[str, str], list[Earlier]] = defaultdict(list)  # key, field → oldest first
        self.last: tuple[datetime, Comparison] | None = None
        self.unclear: set[str | None] = set()  # keys that stood twice in it
        self.open: dict[str, list[Identity]] = {}  # key → its differences that were open before this run

    def take(self, as_of: datetime, seen: Comparison) -> None:
        were_open = {identity for identity, line in self.ledger.lines.items() if line.resolved_at is None}
        self.open = defaultdict(list)
        for identity in were_open:
            self.open[identity.key].append(identity)
        self.ledger.take(as_of, seen)
        found_by_email = one_record_under_two_keys(seen)
        for identity in seen.differences:
            if identity in were_open:
                self.lines[identity] = self.seen_again(identity, seen, self.lines[identity])
            else:
                self.lines[identity] = self.opened(identity, as_of, seen)
            if identity.bucket != "conflict" and identity.key in found_by_email:
                line = self.lines[identity]
                judgement = line.judgement._replace(cause=TWO_KEYS, stale_side="unknown")
                self.lines[identity] = replace(line, judgement=judgement, rule="5")
        for identity in were_open:
            if self.ledger.lines[identity].resolved_at == as_of and identity.bucket == "conflict":
                self.remember_base(as_of, identity)
        self.remember_what_changed_alike(seen)
        self.last = as_of, seen
        self.unclear = {apart.key for apart in seen.set_apart}

    def opened(self, identity: Identity, as_of: datetime, seen: Comparison) -> Line:
        before = self.before(identity.key)
        now = seen.beside[identity.key]
        last_agreed = self.last_agreed(identity.key)
        earlier = list(self.earlier[identity.key, identity.field])
        if identity.bucket == "conflict":
            if not (before.left and before.right) and not came_as_it_was(identity.field, *now, before):
                before = last_agreed.get(identity.field, before)
            verdict = conflict(identity.field, *now, before, earlier, None)
        else:
            verdict = one_sided(identity.bucket, now, before)
            if before.left and before.right:
                last_agreed |= {name: before for name in before.left.fields if agrees(name, before)}
        since = began(as_of, now, before, verdict)
        judgement = Judgement(verdict.cause, verdict.stale_side, *since, *agreed(identity.field, before))
        return Line(before, judgement, verdict.rule, now, earlier, {} if identity.bucket == "conflict" else last_agreed)

    def seen_again(self, identity: Identity, seen: Comparison, line: Line) -> Line:
        now = seen.beside[identity.key]
        if identity.bucket == "conflict":
            is_moved = any(has_moved(identity.field, *each) for each in zip(line.held, now, strict=True))
            is_kept = not is_moved and line.judgement.cause != UNMAPPED
        else:
            is_kept = line.rule != "5"  # a shared address counts while it is there; see take
        if is_kept:
            return replace(line, held=now, rule="kept")
        if identity.bucket == "conflict":
            verdict = conflict(identity.field, *now, line.before, line.earlier, line.held)
        else:
            verdict = one_sided(identity.bucket, now, line.before)
        judgement = line.judgement._replace(cause=verdict.cause, stale_side=verdict.stale_side)
        return replace(line, judgement=judgement, rule=verdict.rule, held=now)

    def before(self, key: str) -> Before:
        if self.last is None:
            return Before()
        as_of, seen = self.last
        if key in self.unclear:
            return Before(as_of, is_clear=False)
        return Before(as_of, *seen.beside.get(key, (None, None)))

    def last_agreed(self, key: str) -> dict[str, Before]:
        """Of a record with open differences before tonight: on which night each field last agreed, as far as that is remembered."""
        told = {}
        for identity in self.open.get(key, ()):
            line = self.lines[identity]
            told |= line.last_agreed
            if identity.bucket == "conflict" and agrees(identity.field, line.before):
                told[identity.field] = line.before
        return told

    def remember_base(self, as_of: datetime, identity: Identity) -> None:
        """Of a resolved conflict: what both had before it. The side that had moved led, if exactly one had."""
        line = self.lines[identity]
        if not agrees(identity.field, line.before):
            return
        base = [record.fields[identity.field].meant for record in (line.before.left, line.before.right)]
        held = [record.fields[identity.field].meant for record in line.held]
        moved = [side for side, was, now in zip(OTHER, base, held, strict=True) if was != now]
        led_by = moved[0] if len(moved) == 1 else None
        self.earlier[identity.key, identity.field].append(Earlier(base[0], line.before.as_of, led_by))

    def remember_what_changed_alike(self, seen: Comparison) -> None:
        """Both sides moved from one value to another between two trusted runs: whose record changed first led."""
        for key, (left, right) in seen.beside.items():
            before = self.before(key)
            for name in left.fields if left and right else ():
                if not (before.left and before.right and has_moved(name, before.left, left) and has_moved(name, before.right, right)):
                    continue
                if agrees(name, before) and agrees(name, Before(None, left, right)):
                    others = [other for other in left.fields if other != name]
                    # A record's time is of its last change, which may be another field's.
                    is_only_change = not any(has_row(other, seen.buckets[key], before, left, right) for other in others)
                    led_by = who_led(left.updated_at, right.updated_at, before.as_of) if is_only_change else None
                    self.earlier[key, name].append(Earlier(before.left.fields[name].meant, before.as_of, led_by))


def who_led(left_at: datetime | None, right_at: datetime | None, since: datetime) -> str | None:
    if left_at is None or right_at is None or left_at == right_at or min(left_at, right_at) <= since:
        return None
    return "left" if left_at < right_at else "right"


def has_row(name: str, bucket: str, before: Before, left: Record, right: Record) -> bool:
    """Whether a field has a row of its own beside another that both sides changed alike: it differs, or agrees on something else."""
    if agreement(name, left, right, Comparison("")) != "agrees":
        return bucket == "conflict"
    if agreement(name, before.left, before.right, Comparison("")) == "differs":
        return True
    return agrees(name, before) and has_moved(name, before.left, left) and has_moved(name, before.right, right)


def agrees(name: str, before: Before) -> bool:
    """Whether both sides had the record and said the same in this field."""
    return bool(before.left and before.right) and agreement(name, before.left, before.right, Comparison("")) == "agrees"


def came_as_it_was(name: str, left: Record, right: Record, before: Before) -> bool:
    """One side alone had it before, and the other says now what that one said then."""
    now, was = {"left": left, "right": right}, {"left": before.left, "right": before.right}
    had = [side for side in was if was[side]]
    return len(had) == 1 and now[OTHER[had[0]]].fields[name].meant == was[had[0]].fields[name].meant


def has_moved(name: str, was: Record, now: Record) -> bool:
    """What is compared is another value, or one that could not be read has become one that can, or the reverse.

    What the system still writes as it did has not moved, whatever an edited map now reads in it.
    """
    was_value, value = was.fields[name], now.fields[name]
    return as_read(was_value) != as_read(value) and was_value.stated != value.stated


def as_read(value: Value) -> tuple:
    return value.meant, value.is_unreadable


def conflict(name: str, left: Record, right: Record, before: Before, earlier: list[Earlier], held: tuple[Record, Record] | None) -> Verdict:
    """Rules 1 to 4. `held` is what both sides had at the last sighting of this same open difference; None: it opens."""
    now = {"left": left, "right": right}
    was = {"left": before.left, "right": before.right}
    if any(record.fields[name].is_unreadable for record in now.values()):
        return Verdict(UNMAPPED, "unknown", "1") if name == "status" else Verdict(UNKNOWN, "unknown", "2")

    if not agrees(name, before):
        had = [side for side in was if was[side]]
        if len(had) == 1 and not was[had[0]].fields[name].is_unreadable:
            (here,), there = had, OTHER[had[0]]
            has_old_value = now[there].fields[name].meant == was[here].fields[name].meant
            if has_moved(name, was[here], now[here]) and has_old_value:
                return Verdict(CHANGED, there, "3, as it was when it came", now[here].updated_at)
        return Verdict(UNKNOWN, "unknown", "3")

    moved = [side for side in now if has_moved(name, was[side], now[side])]
    if not moved:
        return Verdict(UNKNOWN, "unknown", "4, neither moved")

    if len(moved) == 1:
        (mover,), other = moved, OTHER[moved[0]]
        if held and has_moved(name, dict(zip(OTHER, held, strict=True))[other], now[other]):
            return Verdict(UNKNOWN, "unknown", "4, the other went back")
        if name == "status" and not now[mover].is_in_scope and now[other].is_in_scope:
            known = [time for time in (now[mover].updated_at, before.as_of) if time]
            if now[other].updated_at and now[other].updated_at > max(known):
                return Verdict(UNKNOWN, "unknown", "4a, or it came back")
            return Verdict(ENDED, other, "4a", now[mover].updated_at)
        led_by = [each.led_by for each in earlier if each.value == now[mover].fields[name].meant]
        if led_by and led_by[-1] is None:
            return Verdict(UNKNOWN, "unknown", "4b, nobody knows who led")
        if led_by and led_by[-1] == other and name == "status":
            return Verdict(UNKNOWN, "unknown", "4b, a status that came back")
        if led_by and led_by[-1] == other:
            return Verdict(OVERWRITTEN, mover, "4b")
        return Verdict(CHANGED, other, "4c, back" if led_by else "4c", now[mover].updated_at)

    if held:
        last = dict(zip(OTHER, held, strict=True))
        followers = [
            side
            for side, leader in OTHER.items()
            if now[side].fields[name].meant == last[leader].fields[name].meant and has_moved(name, last[leader], now[leader])
        ]
        if len(followers) == 1:  # both: they swapped, and neither follows
            (follower,), leader = followers, OTHER[followers[0]]
            times = now[follower].updated_at, now[leader].updated_at
            if None not in times and times[0] > times[1]:
                return Verdict(OVERWRITTEN, follower, "4d, written after")
            return Verdict(CHANGED, follower, "4d")
    return Verdict(BOTH_CHANGED, "both", "4e")


def one_sided(bucket: str, now: tuple[Record | None, Record | None], before: Before) -> Verdict:
    """Rules 6 to 9; rule 5 lies over them."""
    here = bucket.removesuffix("_only")
    there = OTHER[here]
    was = {"left": before.left, "right": before.right}
    if before.as_of is None or not before.is_clear:
        return Verdict(UNKNOWN, "unknown", "6")
    if was[here] and was[there]:
        has_agreed = all(agrees(name, before) for name in was[here].fields)
        if has_agreed and was[there].is_in_scope:
            return Verdict(GONE, here, "7, agreed")
        return Verdict(ENDED, here, "7, differed or ended")
    if was[there]:
        return Verdict(UNKNOWN, "unknown", "9")
    return Verdict(CREATED, there, "8, here alone" if was[here] else "8, on neither side")


def one_record_under_two_keys(seen: Comparison) -> set[str]:
    """Rule 5: keys of one-sided records that share an e-mail with exactly one of the other side's. Ties are left alone."""
    emails: dict[str, Counter[str]] = {"left": Counter(), "right": Counter()}
    keys = {}
    for identity in seen.differences:
        if identity.bucket == "conflict":
            continue
        side = identity.bucket.removesuffix("_only")
        record = next(record for record in seen.beside[identity.key] if record)
        email = record.fields["email"].meant if "email" in record.fields else None
        if email is not None:
            emails[side][email] += 1
            keys[side, email] = identity.key
    shared = [email for email in emails["left"] if emails["left"][email] == emails["right"][email] == 1]
    return {keys[side, email] for side in OTHER for email in shared}


def began(as_of: datetime, now: tuple[Record | None, Record | None], before: Before, verdict: Verdict) -> tuple[datetime, bool]:
    """When, and whether that is exact; else it began no later than that."""
    says = verdict.moved_at
    if None in now and before.as_of and before.is_clear and not (before.left or before.right):
        (record,) = filter(None, now)
        says = record.created_at or record.updated_at
    if says and before.as_of < says <= as_of:
        return says, True
    is_unknown = before.as_of is None or not before.is_clear
    if is_unknown and None not in now and all(record.updated_at for record in now):
        # Neither record changed after that, so neither did what they differ in. One record alone proves nothing of when the other went.
        return min(as_of, latest(*(record.updated_at for record in now))), False
    return as_of, False


def agreed(name: str, before: Before) -> tuple[datetime | None, str | None]:
    """When both were last seen to agree, and on what, as left stated it. A record that is one-sided now: in every field."""
    if name:
        return (before.as_of, before.left.fields[name].stated) if agrees(name, before) else (None, None)
    is_agreed = before.left and all(agrees(name, before) for name in before.left.fields)
    return (before.as_of if is_agreed else None), None
