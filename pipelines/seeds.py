"""Rows that a command adds to what people decided, in seeds/."""

import csv
import io
import os

from pipelines import settings
from pipelines.failures import BadConfiguration, first_line


def refuse_other_columns() -> None:
    """Raises BadConfiguration where a seed lacks a column: dbt would load it, and each reader of it fail in words of its own."""
    for name, columns in settings.seed_columns().items():
        seed = settings.ROOT / f"seeds/{name}.csv"
        try:
            with seed.open(encoding="utf-8-sig", newline="") as lines:
                header = next(csv.reader(lines), [])
        except (FileNotFoundError, UnicodeDecodeError, csv.Error) as error:
            raise BadConfiguration(f"seeds/{name}.csv can't be read: {first_line(error)}.") from error
        if missing := [column for column in columns if column not in header]:
            raise BadConfiguration(f"seeds/{name}.csv has no column {missing[0]}; its first line should be {','.join(columns)}.")


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
