"""Candidate keys as docs/candidate-keys.md tells them, in plain Python: every left record against every right one."""

import math
import re
import unicodedata
from collections import Counter
from itertools import product

import duckdb
from candidates import Record

NOBODY = {"gmbh", "ltd"}
Suggested = dict[tuple[str, str], tuple[str, float]]


def suggested(records: list[Record]) -> Suggested:
    """Left and right key → what it rests on, and the score."""
    by_email = with_the_same_email(records)
    matched = {key for pair in by_email for key in pair}
    return by_email | with_names_alike([record for record in records if record.record_key not in matched and record.name is not None])


def with_the_same_email(records: list[Record]) -> Suggested:
    having = Counter(address(record.email) for record in records)
    return {
        (left.record_key, right.record_key): ("e-mail", email_score(left.name, right.name))
        for left, right in product(records, records)
        if (left.side, right.side) == ("left", "right")
        and address(left.email) == address(right.email) is not None
        and having[address(left.email)] == 2
    }


def address(email: str | None) -> str | None:
    parts = (email or "").strip().lower().split("@")
    return f"{parts[0].split('+')[0]}@{parts[1]}" if len(parts) == 2 and parts[0].split("+")[0] and parts[1] else None


def email_score(left: str | None, right: str | None) -> float:
    alike = jaro_winkler(left.lower(), right.lower()) if left is not None and right is not None else 0
    return round(0.8 + 0.2 * alike, 3)


def with_names_alike(records: list[Record]) -> Suggested:
    said = {record.record_key: words(record.name) for record in records}
    keys = {side: [record.record_key for record in records if record.side == side] for side in ("left", "right")}
    names = {side: Counter(word for key in keys[side] for word in said[key]) for side in keys}
    count = names["left"] + names["right"]

    def weight(word: str) -> float:
        return 0.2 if word in NOBODY else math.log(1 + max(len(records), 100) / count[word])

    def rarest(said: set[str]) -> list[str]:
        few = [word for word in said - NOBODY if max(names["left"][word], names["right"][word]) <= 20]
        return sorted((word for word in few if count[word] <= max(2, len(records) / 10)), key=lambda word: (count[word], word))[:3]

    def alike(left: str, right: str) -> float:
        if left == right:
            return 1
        may_be_misspelt = min(len(left), len(right)) >= 5 and not re.search("[0-9]", left + right)
        seen_once = min(count[left], count[right]) == 1
        return jaro_winkler(left, right) if may_be_misspelt and seen_once and one_letter_apart(left, right) else 0

    def score(left: set[str], right: set[str]) -> float:
        both = {pair: alike(*pair) for pair in product(left, right) if alike(*pair)}
        best = {
            (one, other): of
            for (one, other), of in both.items()
            if min((-s, b) for (a, b), s in both.items() if a == one)[1] == other
            and min((-s, a) for (a, b), s in both.items() if b == other)[1] == one
        }
        rest_left, rest_right = left - NOBODY - {one for one, _ in best}, right - NOBODY - {other for _, other in best}
        if rest_left and rest_right:
            return 0
        agreed = sum(2 * of * min(weight(one), weight(other)) for (one, other), of in best.items())
        misspelt = sum(abs(weight(one) - weight(other)) for one, other in best)
        return round(agreed / (sum(map(weight, left)) + sum(map(weight, right)) - misspelt), 3)

    scores = {
        (left, right): score(said[left], said[right])
        for left, right in product(keys["left"], keys["right"])
        if any(alike(one, other) for one, other in product(rarest(said[left]), rarest(said[right])))
    }
    return {pair: ("name", of) for pair, of in scores.items() if of >= 0.92 and not has_rival(pair, scores)}


def has_rival(pair: tuple[str, str], scores: dict[tuple[str, str], float]) -> bool:
    """Another pair of one of the two records that comes as close, or nearly."""
    others = [score for other, score in scores.items() if (other[0] == pair[0]) != (other[1] == pair[1])]
    return any(round(1000 * other) >= round(1000 * scores[pair]) - 50 for other in others)


def words(name: str) -> set[str]:
    plain = "".join(letter for letter in unicodedata.normalize("NFD", name.lower()) if not unicodedata.combining(letter))
    return set(re.findall(r"\w+", re.sub("([aou])e", r"\1", plain)))


def one_letter_apart(left: str, right: str) -> bool:
    """A letter more, another letter, or two letters the other way round."""
    if len(left) > len(right):
        left, right = right, left
    if len(right) - len(left) == 1:
        return any(right[:at] + right[at + 1 :] == left for at in range(len(right)))
    differ = [at for at in range(len(left)) if len(left) == len(right) and left[at] != right[at]]
    return len(differ) == 1 or (
        len(differ) == 2 and differ[1] - differ[0] == 1 and left[differ[0]] == right[differ[1]] and left[differ[1]] == right[differ[0]]
    )


def jaro_winkler(left: str, right: str) -> float:
    return duckdb.execute("select jaro_winkler_similarity(?, ?)", [left, right]).fetchone()[0]
