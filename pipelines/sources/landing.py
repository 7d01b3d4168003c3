"""What the connectors share on the way into the snapshot: declared columns only, whole files, plain text."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import pyarrow.parquet

from pipelines.failures import SourceFailed


def refuse_missing(where: str, columns: list[str], present: list[str]) -> None:
    """Raises SourceFailed naming the first declared column that is not there, and what is."""
    missing = [column for column in columns if column not in present]
    if missing:
        raise SourceFailed(f"{where} has no column {missing[0]!r}; it has: {', '.join(map(repr, sorted(present)))}.")


def imported(path: Path, records: int):
    """A Parquet file that dlt loads as it is."""
    return dlt.mark.with_file_import(str(path), "parquet", records, hints=pyarrow.parquet.read_schema(path).empty_table())


def text(value: Any) -> str | None:
    """A value of an uncommon type as plain text: no exponents, ISO 8601 times, bytes as hexadecimal digits, what is nested as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (bool, dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
