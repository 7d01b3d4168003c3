"""What the two default pairs must give, in plain Python from docs and laws alone: no SQL, and no code of the project.

Slow and literal on purpose. Rows are dicts of text or None, as an export names its columns; times are aware datetimes.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

Row = Mapping[str, str | None]
Tables = Mapping[str, Mapping[str, list[Row]]]  # system → table → rows

LAG = timedelta(hours=24)
TOLERANCE = Decimal("0.01")
BLANKS = "".join(map(chr, [*range(9, 14), 32, 133, 160, 5760, 6158, *range(8192, 8208), 8232, 8233, 8239, 8287, 8288, 12288, 65279]))
STATUS_WORDS = {
    "crm customers": {
        "trial": "active", "active": "active", "paused": "paused", "lead": "inactive", "churned": "inactive",
    },
    "crm deals": {"won": "active", "open": "inactive", "lost": "inactive", "terminated": "inactive"},
    "billing subscriptions": {
        "trialing": "active", "active": "active", "past_due": "active", "paused": "paused",
        "unpaid": "inactive", "canceled": "inactive", "incomplete": "inactive", "incomplete_expired": "inactive",
    },
}  # fmt: skip
RESOLUTIONS = {  # bucket of the key now → why its difference is gone
    None: "gone from both sides",
    "out_of_scope": "out of scope on both sides",
    "left_only": "superseded: now left only",
    "right_only": "superseded: now right only",
    "matched": "both sides agree",
    "conflict": "both sides agree",  # on this field; they differ in another. A record that was on one side: superseded
}
EXPONENTS = {"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KWD": 3}  # those that the generated worlds use


class Value(NamedTuple):
    """One field of one record: what is compared, and what people are shown. Stated but not meant is unreadable."""

    meant: Any
    stated: str | None

    @property
    def is_unreadable(self) -> bool:
        return self.meant is None and self.stated is not None


@dataclass(frozen=True)
class Record:
    stated_key: str | None
    fields: dict[str, Value]
    changed: Value  # when; unknown where any part of it can't be read
    created_at: datetime | None = None
    key: str | None = None  # with the crosswalk applied

    @property
    def updated_at(self) -> datetime | None:
        return self.changed.meant

    @property
    def is_in_scope(self) -> bool:
        return self.fields["status"].meant != "inactive"

    @property
    def unreadable(self) -> int:
        return sum(value.is_unreadable for value in (*self.fields.values(), self.changed))


class Identity(NamedTuple):
    """The same difference for ever."""

    pair: str
    key: str
    bucket: str
    field: str


@dataclass(frozen=True)
class Difference:
    """One line of the ledger. Until a ledger takes it, it has no history."""

    left_value: str | None
    right_value: str | None
    left_updated_at: datetime | None
    right_updated_at: datetime | None
    worth: tuple[Decimal, str | None] | None = None  # amount, currency
    is_of_plan: bool = False  # set apart, by the policies as shipped
    status: str = ""
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    opened_at: datetime | None = None
    resolved_at: datetime | None = None
    resolution: str | None = None
    runs_seen: int = 0
    times_reopened: int = 0


class SetApart(NamedTuple):
    """One record that has no usable key."""

    pair: str
    side: str
    key: str | None
    stated_key: str | None
    reason: str  # empty, blank, repeated, repeated on the other side


@dataclass
class Comparison:
    pair: str
    counts: Counter[str] = field(default_factory=Counter)
    buckets: dict[str, str] = field(default_factory=dict)  # usable key → bucket
    beside: dict[str, tuple[Record | None, Record | None]] = field(default_factory=dict)  # usable key → left, right
    differences: dict[Identity, Difference] = field(default_factory=dict)
    set_apart: list[SetApart] = field(default_factory=list)
    undecided: set[tuple[str, str]] = field(default_factory=set)  # key, field: neither agrees nor differs
    noted: Counter[str] = field(default_factory=Counter)  # what was come across, for a test to ask whether it was


def trimmed(text: str | None) -> str | None:
    return (text.strip(BLANKS) or None) if text is not None else None


def identifier(text: str | None) -> str | None:
    text = trimmed(text)
    return text.upper() if text is not None else None


def caseless(text: str | None) -> str | None:
    text = trimmed(text)
    return text.lower() if text is not None else None


def number(text: str | None, whole: int = 20, decimals: int = 8) -> Decimal | None:
    """A plain decimal number of at most so many digits before and after the point, or None. Zeros at the end are no digits."""
    text = trimmed(text)
    pattern = rf"[+-]?([0-9]{{1,{whole}}}(\.[0-9]{{0,{decimals}}}0*)?|\.[0-9]{{1,{decimals}}}0*)"
    return Decimal(text) if text is not None and re.fullmatch(pattern, text) else None


def time(text: str | None) -> datetime | None:
    """An ISO 8601 date or time that exists, in UTC; without a zone it is UTC already. None where it is not one."""
    text = trimmed(text)
    if text is None or not re.fullmatch(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?)?", text, re.ASCII):
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def latest(*times: datetime | None) -> datetime | None:
    return max((time for time in times if time is not None), default=None)


def text_field(text: str | None) -> Value:
    return Value(trimmed(text), trimmed(text))


def email_field(text: str | None) -> Value:
    return Value(caseless(text), trimmed(text))


def status_field(table: str, word: str | None) -> Value:
    return Value(STATUS_WORDS[table].get(caseless(word)), trimmed(word))


def date_field(text: str | None) -> Value:
    found = time(text)
    return Value(found.date() if found else None, trimmed(text))


def time_field(text: str | None) -> Value:
    return Value(time(text), trimmed(text))


def currency_field(text: str | None) -> Value:
    return Value(identifier(text), trimmed(text))


def major_amount(text: str | None) -> Value:
    return Value(number(text), trimmed(text))


def minor_amount(text: str | None, currency: str | None) -> Value:
    """Minor units as major ones, shown with the decimals its currency has, or more where it states a part of a unit."""
    minor, exponent = number(text, 24, 4), EXPONENTS.get(currency)
    if minor is None or exponent is None:
        return Value(None, f"{trimmed(text)} minor units" if trimmed(text) else None)
    with localcontext(prec=60):
        major = minor.scaleb(-exponent) + 0  # + 0: no negative zero
        decimals = max(exponent, -major.normalize().as_tuple().exponent)
        return Value(major, f"{major:.{decimals}f}")


def customers_in_crm(tables: Tables) -> list[Record]:
    return [
        Record(
            row["customer_number"],
            {
                "status": status_field("crm customers", row["status"]),
                "email": email_field(row["email"]),
                "country": text_field(row["country"]),
            },
            time_field(row["updated_at"]),
            time(row.get("created_at")),
        )
        for row in tables["crm"]["customers"]
    ]


def customers_in_billing(tables: Tables) -> list[Record]:
    subscriptions = defaultdict(list)
    for row in tables["billing"]["subscriptions"]:
        subscriptions[identifier(row["customer_number"])].append(row)
    records = []
    for row in tables["billing"]["customers"]:
        key = identifier(row["customer_number"])
        owned = subscriptions[key] if key is not None else []
        records.append(
            Record(
                row["customer_number"],
                {
                    "status": subscribed_status(owned),
                    "email": email_field(row["email"]),
                    "country": text_field(row["country"]),
                },
                latest_change(row, owned),
                time(row.get("created_at")),
            )
        )
    return records


def latest_change(customer: Row, owned: list[Row]) -> Value:
    """The customer's or its subscriptions'; unknown where one of them can't be read."""
    times = [time_field(row["updated_at"]) for row in (customer, *owned)]
    unread = next((value.stated for value in times if value.is_unreadable), None)
    if unread:
        return Value(None, unread)
    return Value(latest(*(value.meant for value in times)), None)


def subscribed_status(owned: list[Row]) -> Value:
    """Active if any is; else unknown if any word is unknown or missing; else paused if any is; else inactive."""
    if not owned:
        return Value("inactive", "no subscription")
    each = [status_field("billing subscriptions", row["status"]) for row in owned]
    stated = ", ".join(sorted({value.stated or "no status" for value in each}))
    meant = {value.meant for value in each}
    for status in ("active", None, "paused"):
        if status in meant:
            return Value(status, stated)
    return Value("inactive", stated)


def contracts_in_crm(tables: Tables) -> list[Record]:
    return [
        Record(
            row["contract_number"],
            {
                "status": status_field("crm deals", row["stage"]),
                "plan": text_field(row["plan"]),
                "amount": major_amount(row["amount"]),
                "currency": currency_field(row["currency"]),
                "interval": text_field(row["interval"]),
                "starts_on": date_field(row["starts_on"]),
            },
            time_field(row["updated_at"]),
            time(row.get("created_at")),
        )
        for row in tables["crm"]["deals"]
    ]


def contracts_in_billing(tables: Tables) -> list[Record]:
    return [
        Record(
            row["contract_number"],
            {
                "status": status_field("billing subscriptions", row["status"]),
                "plan": text_field(row["plan"]),
                "amount": minor_amount(row["amount_minor"], identifier(row["currency"])),
                "currency": currency_field(row["currency"]),
                "interval": text_field(row["interval"]),
                "starts_on": date_field(row["started_at"]),
            },
            time_field(row["updated_at"]),
        )
        for row in tables["billing"]["subscriptions"]
    ]


PAIRS = {
    "customers": (customers_in_crm, customers_in_billing),
    "contracts": (contracts_in_crm, contracts_in_billing),
}


def agreement(name: str, left: Record, right: Record, result: Comparison) -> str:
    """agrees, differs, or undecided: amounts in two currencies can't be held against each other."""
    one, other = left.fields[name], right.fields[name]
    if one.is_unreadable or other.is_unreadable:
        result.noted[f"unreadable {name}"] += 1
        return "differs"
    if name == "amount":
        if left.fields["currency"].meant != right.fields["currency"].meant:
            return "undecided"
        if one.meant is not None and other.meant is not None:
            with localcontext(prec=60):
                apart = abs(one.meant - other.meant)
            result.noted[f"amounts {apart.normalize():f} apart"] += 1
            return "agrees" if apart <= TOLERANCE else "differs"
    return "agrees" if one.meant == other.meant else "differs"


def worth(*records: Record | None) -> tuple[Decimal, str | None] | None:
    """Amount and currency of the first record that has an amount."""
    for record in records:
        if record and "amount" in record.fields and record.fields["amount"].meant is not None:
            return record.fields["amount"].meant, record.fields["currency"].meant
    return None


def compare(pair: str, tables: Tables, crosswalk: Mapping[str, str] | None = None) -> Comparison:
    """One pair, laid side by side. `crosswalk` says which left key is which right key."""
    left, right = (build(tables) for build in PAIRS[pair])
    right_keys = {identifier(one): identifier(other) for one, other in (crosswalk or {}).items()}
    left = [replace(record, key=right_keys.get(key := identifier(record.stated_key), key)) for record in left]
    right = [replace(record, key=identifier(record.stated_key)) for record in right]
    sides = {"left": left, "right": right}
    copies = {side: Counter(record.key for record in records) for side, records in sides.items()}
    repeated = {key for counted in copies.values() for key, times in counted.items() if times > 1 or key is None}
    result = Comparison(pair)
    counts = result.counts
    for side, records in sides.items():
        counts[f"{side}_rows"] = len(records)
        counts[f"{side}_in_scope"] = sum(record.is_in_scope for record in records)
        counts[f"unreadable_{side}"] = sum(record.unreadable for record in records)
        for record in records:
            if record.key is None:
                reason = "blank" if record.stated_key else "empty"
            elif record.key in repeated:
                reason = "repeated" if copies[side][record.key] > 1 else "repeated on the other side"
            else:
                continue
            counts[f"unreconcilable_{side}"] += 1
            result.set_apart.append(SetApart(pair, side, record.key, record.stated_key, reason))
    usable = [{record.key: record for record in records if record.key not in repeated} for records in sides.values()]
    for key in usable[0].keys() | usable[1].keys():
        lay_beside(key, usable[0].get(key), usable[1].get(key), result)
    return result


def lay_beside(key: str, left: Record | None, right: Record | None, result: Comparison) -> None:
    times = (left.updated_at if left else None, right.updated_at if right else None)
    result.beside[key] = left, right
    if not any(record and record.is_in_scope for record in (left, right)):
        result.buckets[key] = "out_of_scope"
        for side, record in (("left", left), ("right", right)):
            result.counts[f"out_of_scope_{side}"] += record is not None
    elif left is None or right is None:
        bucket = "left_only" if left else "right_only"
        result.buckets[key] = bucket
        result.counts[bucket] += 1
        result.differences[Identity(result.pair, key, bucket, "")] = Difference(None, None, *times, worth(left, right))
    else:
        found = {name: agreement(name, left, right, result) for name in left.fields}
        result.buckets[key] = "conflict" if "differs" in found.values() else "matched"
        result.counts["conflicts" if "differs" in found.values() else "matched"] += 1
        for name, state in found.items():
            if state == "undecided":
                result.undecided.add((key, name))
            if state == "differs":
                stated = (left.fields[name].stated, right.fields[name].stated)
                identity = Identity(result.pair, key, "conflict", name)
                result.differences[identity] = Difference(*stated, *times, worth(left, right), is_of_plan=name == "plan")


class Ledger:
    """Every difference ever seen. One call of `take` a trusted run; an untrusted run is no call."""

    def __init__(self) -> None:
        self.lines: dict[Identity, Difference] = {}

    def take(self, as_of: datetime, comparison: Comparison) -> None:
        unusable = {apart.key for apart in comparison.set_apart}
        seen = comparison.differences
        for identity, now in seen.items():
            before = self.lines.get(identity)
            self.lines[identity] = self.seen_again(as_of, now, before) if before else self.seen_first(as_of, now)
        for identity, before in self.lines.items():
            if identity in seen or before.resolved_at is not None or identity.pair != comparison.pair:
                continue
            if identity.key in unusable or (identity.key, identity.field) in comparison.undecided:
                self.lines[identity] = replace(before, status=status(as_of, before))
            else:
                bucket = comparison.buckets.get(identity.key)
                is_superseded = bucket == "conflict" and identity.bucket != "conflict"
                resolution = "superseded: now conflict" if is_superseded else RESOLUTIONS[bucket]
                self.lines[identity] = replace(before, status="resolved", resolved_at=as_of, resolution=resolution)

    @staticmethod
    def seen_first(as_of: datetime, now: Difference) -> Difference:
        now = replace(now, first_seen_at=as_of, last_seen_at=as_of, opened_at=as_of, runs_seen=1)
        return replace(now, status=status(as_of, now))

    @staticmethod
    def seen_again(as_of: datetime, now: Difference, before: Difference) -> Difference:
        is_back = before.resolved_at is not None
        now = replace(
            now,
            first_seen_at=before.first_seen_at,
            last_seen_at=as_of,
            opened_at=as_of if is_back else before.opened_at,
            runs_seen=before.runs_seen + 1,
            times_reopened=before.times_reopened + is_back,
        )
        return replace(now, status=status(as_of, now))


def status(as_of: datetime, difference: Difference) -> str:
    """Law 4: young records' differences are in flight, but not for longer than the lag after the first sighting."""
    changed_at = latest(difference.left_updated_at, difference.right_updated_at)
    is_young = changed_at is not None and as_of - changed_at < LAG
    return "in_flight" if is_young and as_of - difference.first_seen_at < LAG else answered(difference)


def answered(difference: Difference) -> str:
    return "quarantined" if difference.is_of_plan else "open"
