"""The models that find candidate keys, alone: on one-sided records that a test or a benchmark makes up."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow
from engine import Engine, project

MODELS = ("one_sided_records", "shared_emails", "name_words", "names_to_compare", "similar_names", "key_candidates", "candidate_keys")


class Record(NamedTuple):
    side: str  # left or right
    record_key: str
    name: str | None = None
    email: str | None = None
    reconciliation: str = "customers"


def found(engine: Engine, records: Sequence[Record], verdict: str = "trusted") -> list[dict]:
    """What a run suggests that saw these one-sided records and no others."""
    saw(engine, records, verdict)
    build(engine)
    return engine.rows("from warehouse.marts.candidate_keys order by all")


def saw(engine: Engine, records: Sequence[Record], verdict: str = "trusted") -> None:
    cells = list(zip(*records, strict=True)) or [()] * len(Record._fields)
    given = pyarrow.table([pyarrow.array(cell, pyarrow.string()) for cell in cells], names=list(Record._fields))
    engine.connection.register("one_sided", given)
    engine.connection.execute(
        f"""
        create or replace table snapshot.compare.comparisons as
        select reconciliation, side || '_only' as bucket, record_key, email as match_email, name as match_name from one_sided;
        create or replace table snapshot.trust.verdicts as
        select unnest(['customers', 'contracts']) as reconciliation, '{verdict}' as verdict;
        create or replace table snapshot.trust.this_run as select '000001-0' as run_id
        """
    )
    engine.connection.unregister("one_sided")


def build(engine: Engine) -> None:
    for model in project().models:
        if model.name in MODELS:
            engine.connection.execute(f"create or replace {model.kind} {model.relation} as {model.sql}")
