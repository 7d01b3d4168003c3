"""What the models say of each difference, held against the three-way table in plain Python."""

import gc
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import oracle
from engine import Engine
from oracle import Identity
from oracle_judge import Judge, Judgement
from test_oracle import TABLES, identity


def written(time: datetime | None) -> str | None:
    return time and f"{time:%Y-%m-%dT%H:%M:%SZ}"


class Told(NamedTuple):
    """What the models say of each difference ever seen."""

    judgements: dict[Identity, Judgement]
    evidence: dict[Identity, str | None]
    in_list: dict[Identity, Judgement]  # the same of what is current, from marts.discrepancies


def night(engine: Engine, as_of: datetime, tables: oracle.Tables, untrusted: Iterable[tuple[str, str]] = (), **options: object) -> None:
    """`untrusted` are the tables that were not read to their end."""
    evidence = {
        (system, table): {"declared_total": len(tables[system][table]), "end_seen": (system, table) not in untrusted}
        for system, table in TABLES
    }
    engine.night(as_of, evidence=evidence, **options, **tables)
    assert bool(engine.refusals()) == bool(untrusted), engine.refusals()


def read(engine: Engine) -> Told:
    columns = f"reconciliation, record_key, bucket, field, {', '.join(Judgement._fields)}, cause_evidence"
    history = engine.rows(f"select {columns} from warehouse.marts.discrepancy_history")
    current = engine.rows(f"select {columns} from warehouse.marts.discrepancies")
    return Told(
        judgements={identity(row): judgement(row) for row in history},
        evidence={identity(row): row["cause_evidence"] for row in history},
        in_list={identity(row): judgement(row) for row in current},
    )


def judgement(row: Mapping) -> Judgement:
    return Judgement(*(row[name] for name in Judgement._fields))


def lacks(evidence: str | None) -> bool:
    """No cause without evidence, in one line."""
    return not evidence or not evidence.strip() or len(evidence.splitlines()) != 1


def judged(
    nights: Iterable[tuple[datetime, oracle.Tables]], crosswalk: Mapping | None = None, pairs: Iterable[str] = oracle.PAIRS
) -> dict[str, Judge]:
    """The oracle's word on trusted nights."""
    judges = {pair: Judge(pair) for pair in pairs}
    gc.disable()  # nothing here is cyclic, and looking for what is takes longer than all the rest
    for as_of, tables in nights:
        for pair, judge in judges.items():
            judge.take(as_of, oracle.compare(pair, tables, crosswalk if pair == "contracts" else None))
    gc.enable()
    return judges


def difference(found: Judgement | None, truth: Judgement | None) -> str:
    if found is None or truth is None:
        return f"models {found}, oracle {truth}"
    apart = [name for name in Judgement._fields if getattr(found, name) != getattr(truth, name)]
    return "; ".join(f"{name}: models {getattr(found, name)}, oracle {getattr(truth, name)}" for name in apart)


def mismatches(told: Told, judges: Mapping[str, Judge]) -> dict[Identity, str]:
    """One line a difference on which models and oracle are not of one mind."""
    found, lines = told.judgements, {each: line for judge in judges.values() for each, line in judge.lines.items()}
    wrong = {
        each: difference(found.get(each), lines[each].judgement if each in lines else None)
        for each in found.keys() | lines.keys()
        if each.pair in judges and (each not in lines or found.get(each) != lines[each].judgement)
    }
    wrong |= {each: f"evidence {told.evidence[each]!r}" for each in found if lacks(told.evidence[each])}
    return wrong | {each: "discrepancies: " + difference(row, found[each]) for each, row in told.in_list.items() if row != found[each]}
