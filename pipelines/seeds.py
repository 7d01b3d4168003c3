"""Rows that a command adds to what people decided, in seeds/."""

import csv
import io
import os

from pipelines import settings
from pipelines.failures import BadConfiguration


def append(name: str, rows: list[dict]) -> None:
    """Adds rows to seeds/`name`.csv, whole or not at all. Raises BadConfiguration where its columns are others."""
    seed = settings.ROOT / f"seeds/{name}.csv"
    held = seed.read_text()
    columns = next(csv.reader(io.StringIO(held)), [])
    if sorted(columns) != sorted(rows[0]):
        raise BadConfiguration(
            f"seeds/{name}.csv has the columns {', '.join(columns)}; they should be {', '.join(rows[0])}.", "It was left as it is."
        )
    added = io.StringIO()
    csv.DictWriter(added, columns, lineterminator="\n").writerows(rows)
    beside = seed.with_suffix(".csv.new")
    beside.write_text(held + ("" if held.endswith("\n") else "\n") + added.getvalue())
    os.replace(beside, seed)
