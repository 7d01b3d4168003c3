"""An import file for people whose system takes uploads: one a run, system and table. Nothing reaches the system by itself."""

import csv
import os
from pathlib import Path

from pipelines import settings
from pipelines.failures import OF_THIS_MACHINE, first_line
from pipelines.targets.target import TargetSettings, Unavailable, Write

COLUMNS = ("idempotency_key", "operation", "record_key", "field", "from_value", "to_value")


class Files:
    is_idempotent = True  # a key that stands in a file is not put into another

    def __init__(self, stated: TargetSettings):
        self.stated = stated
        self.folder = settings.ROOT / stated.setting("path", str(settings.state_folder() / "fixes"))

    def refuses(self, write: Write) -> str | None:
        """Nothing: a row can say any change."""

    def write(self, write: Write) -> str:
        try:
            return self.put(write)
        except OF_THIS_MACHINE as error:
            raise Unavailable(first_line(error)) from error

    def put(self, write: Write) -> str:
        ending = f"{self.stated.system}-{self.stated.tables_of(write.reconciliation)[0]}.csv"
        for file in sorted(self.folder.glob(f"*-{ending}")):
            if write.idempotency_key in {row["idempotency_key"] for row in rows_of(file)}:
                return f"stands in {file.name}"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.folder / f"{write.run_id}-{ending}"
        replace(file, [*rows_of(file), *rows_to_add(write)])
        return f"put into {file.name}"


def rows_to_add(write: Write) -> list[dict]:
    """One a changed column: of a record to create one each that has a value, of one to end or delete the row alone."""
    row = {name: getattr(write, name) for name in COLUMNS} | {"record_key": write.stated_key or write.record_key}
    if write.operation != "create":
        return [row]
    return [row | {"field": column, "to_value": value} for column, value in write.record.items() if value is not None]


def rows_of(file: Path) -> list[dict]:
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def replace(file: Path, rows: list[dict]) -> None:
    """Whole, so that nobody uploads half of it. Values are exact: one that begins with = stays one."""
    part = file.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        lines.flush()
        os.fsync(lines.fileno())
    part.chmod(0o600)
    os.replace(part, file)
