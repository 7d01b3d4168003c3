"""What a connector is told: which system it reads, with which settings, and where its evidence goes."""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import ClassVar

from pipelines import settings
from pipelines.evidence import Pulled
from pipelines.failures import Stopped
from pipelines.sources.words import OF_A_SIDE, OF_AUTH, refuse_unknown
from pipelines.stated import Stated


@dataclass(frozen=True)
class Only:
    """The few records that are read again before they are written, table by table: their keys as the system states them, and its
    own ids of their rows where the last trusted run knew any."""

    keys: dict[str, list[str]]
    ids: dict[str, list[str]]


@dataclass(frozen=True)
class Side(Stated):
    """`work` is a folder for what must stay until dlt has loaded it; each table's evidence is appended to `pulled`."""

    section: ClassVar[str] = "sources"
    work: Path
    pulled: list[Pulled]
    stopping: Event = field(default_factory=Event)
    is_look: bool = False  # nothing lands, and of each table one page is enough
    only: Only | None = None  # a source that can't choose reads everything, which is right too

    def go_on(self) -> None:
        """Raises Stopped once the other side has failed: nothing that is still read would be used."""
        if self.stopping.is_set():
            raise Stopped(f"{self.system}: stopped, as the other side failed.")

    def refuse_unknown_words(self) -> None:
        """Raises BadConfiguration where a settings file says of this side what no connector reads, or of a table that it has not."""
        tables = self.tables()
        refuse_unknown(f"sources.{self.system}", OF_A_SIDE.union(tables))
        refuse_unknown(self.place("tables"), tables)
        refuse_unknown(self.place("auth"), OF_AUTH)

    def tables(self, shape: str | None = None) -> dict[str, list[str]]:
        """The columns to land, table by table: the exports' own, or those of `shape`, a system whose records staging turns into them."""
        return settings.needed_columns(shape or self.system)

    def evidence(self, table: str, connector: str) -> Pulled:
        self.pulled.append(evidence := Pulled(self.system, table, connector))
        return evidence
