"""What a connector is told: which system it reads, with which settings, and where its evidence goes."""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import dlt

from pipelines import settings
from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration, Stopped


@dataclass(frozen=True)
class Side:
    """`work` is a folder for what must stay until dlt has loaded it; each table's evidence is appended to `pulled`."""

    system: str
    work: Path
    pulled: list[Pulled]
    stopping: Event = field(default_factory=Event)
    is_look: bool = False  # nothing lands, and of each table one page is enough

    def go_on(self) -> None:
        """Raises Stopped once the other side has failed: nothing that is still read would be used."""
        if self.stopping.is_set():
            raise Stopped(f"{self.system}: stopped, as the other side failed.")

    def setting(self, name: str, default: str | None = None) -> str:
        """`[sources.<system>]` of .dlt/config.toml or the environment, as dlt resolves it. Raises BadConfiguration."""
        return self._resolved(dlt.config, ".dlt/config.toml", name, default)

    def secret(self, name: str) -> str:
        """The same of .dlt/secrets.toml or the environment."""
        return self._resolved(dlt.secrets, ".dlt/secrets.toml", name, None)

    def _resolved(self, accessor, file: str, name: str, default: str | None) -> str:
        # Without a type dlt guesses one: a token of 12e5 would be the number 1200000.0
        value = accessor.get(f"sources.{self.system}.{name}", str if default is None else type(default))
        if value is None and default is None:
            variable = f"SOURCES__{self.system.upper()}__{name.upper().replace('.', '__')}"
            raise BadConfiguration(f"sources.{self.system}.{name} is not set; set it in {file} or as {variable}.")
        return default if value is None else value

    def names(self, table: str, defaults: dict[str, str]) -> dict[str, str]:
        """What an account calls each column's field: `[sources.<system>.<table>]`, or else the default."""
        return {column: self.setting(f"{table}.{column}", default) for column, default in defaults.items()}

    def tables(self, shape: str | None = None) -> dict[str, list[str]]:
        """The columns to land, table by table: the exports' own, or those of `shape`, a system whose records staging turns into them."""
        return settings.needed_columns(shape or self.system)

    def evidence(self, table: str, connector: str) -> Pulled:
        self.pulled.append(evidence := Pulled(self.system, table, connector))
        return evidence
