"""A first look at the sources: one page of every table, nothing kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow

from pipelines import settings
from pipelines.pull import connector, root_cause
from pipelines.sources.side import Side

NOTHING = pyarrow.table({})


@dataclass(frozen=True)
class Look:
    """`records` are those of the first page, or the first file; `without_value` are the columns that hold nothing on that page."""

    system: str
    connector: str
    table: str
    records: int
    declared_total: int | None
    declared_by: str | None
    fields: list[str]
    without_value: list[str]


def looks() -> Iterator[Look]:
    """Every side's tables, in order. Raises SourceFailed or BadConfiguration, as a pull would."""
    for system in settings.systems():
        with TemporaryDirectory() as work:
            yield from look(Side(system, Path(work), [], is_look=True))


def look(side: Side) -> Iterator[Look]:
    resources = connector(side)(side).resources.values()
    for resource, evidence in zip(resources, side.pulled, strict=True):
        try:
            page = next(iter(resource), NOTHING)
        except Exception as error:
            raise root_cause(error, side.system) from error
        yield Look(
            system=side.system,
            connector=evidence.connector,
            table=evidence.table_name,
            records=evidence.fetched,
            declared_total=evidence.declared_total,
            declared_by=evidence.declared_by,
            fields=page.column_names,
            without_value=[name for name in page.column_names if page.num_rows and page[name].null_count == page.num_rows],
        )
