"""The models that find candidate keys, alone: on one-sided records that a test or a benchmark writes."""

from collections.abc import Iterable
from typing import NamedTuple

import duckdb
import pyarrow
from engine import project

MODELS = ("one_sided_records", "shared_emails", "name_words", "names_to_compare", "similar_names", "key_candidates", "candidate_keys")


class Record(NamedTuple):
    side: str  # left or right
    record_key: str
    name: str | None = None
    email: str | None = None
    reconciliation: str = "customers"


def found(connection: duckdb.DuckDBPyConnection, records: Iterable[Record], verdict: str = "trusted") -> list[dict]:
    """What a trusted run suggests that saw these one-sided records. The connection is an Engine's."""
    sides = list(zip(*records, strict=True)) or [()] * len(Record._fields)
    given = pyarrow.table({name: pyarrow.array(cells, pyarrow.string()) for name, cells in zip(Record._fields, sides, strict=True)})
    connection.execute(
        """
        create or replace table snapshot.compare.comparisons as
        select reconciliation, side || '_only' as bucket, record_key, email as match_email, name as match_name from given
        """
    )
    del given
    connection.execute(
        f"""
        create or replace table snapshot.trust.verdicts as
        select unnest(['customers', 'contracts']) as reconciliation, '{verdict}' as verdict
        """
    )
    connection.execute("create or replace table snapshot.trust.this_run as select '000001-0' as run_id")
    for model in project().models:
        if model.name in MODELS:
            connection.execute(f"create or replace {model.kind} {model.relation} as {model.sql}")
    rows = connection.execute("from warehouse.marts.candidate_keys order by all")
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
