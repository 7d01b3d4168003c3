"""What a connector is told: which system it reads, with which settings, and where its evidence goes."""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException

from pipelines import settings
from pipelines.evidence import Pulled
from pipelines.failures import BadConfiguration, Stopped
from pipelines.sources.words import OF_A_SIDE, OF_AUTH, refuse_unknown


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

    def setting(self, name: str, default: Any = None) -> Any:
        """`[sources.<system>]` of .dlt/config.toml or the environment, of the default's type. Raises BadConfiguration."""
        kind = str if default is None else type(default)  # without a type dlt would guess one
        try:
            value = dlt.config.get(self._key(name), kind)
        except ConfigValueCannotBeCoercedException:
            raise BadConfiguration(f"{self._key(name)} can't be read as a {kind.__name__}.") from None
        return self._stated(name, ".dlt/config.toml", default if value is None else value)

    def is_on(self, name: str, default: bool) -> bool:
        stated = self.setting(name, str(default)).lower()
        if stated not in ("true", "false"):
            raise BadConfiguration(f"sources.{self.system}.{name} must be true or false, not {stated!r}.")
        return stated == "true"

    def secret(self, name: str) -> str:
        """The same of .dlt/secrets.toml or the environment."""
        value = dlt.secrets.get(self._key(name))  # of any type that is not dlt's own for secrets it keeps a trace
        return str(self._stated(name, ".dlt/secrets.toml", value))

    def _key(self, name: str) -> str:
        return f"sources.{self.system}.{name}"

    def _stated(self, name: str, file: str, value: str | None) -> str:
        if value is None:
            variable = f"SOURCES__{self.system.upper()}__{name.upper().replace('.', '__')}"
            raise BadConfiguration(f"{self._key(name)} is not set; set it in {file} or as {variable}.")
        return value

    def names(self, table: str, defaults: dict[str, str]) -> dict[str, str]:
        """What an account calls each column's field: `[sources.<system>.<table>]`, or else the default."""
        refuse_unknown(self._key(table), defaults)
        return {column: self.setting(f"{table}.{column}", default) for column, default in defaults.items()}

    def refuse_unknown_words(self) -> None:
        """Raises BadConfiguration where a settings file says of this side what no connector reads, or of a table that it has not."""
        tables = self.tables()
        refuse_unknown(f"sources.{self.system}", OF_A_SIDE.union(tables))
        refuse_unknown(self._key("tables"), tables)
        refuse_unknown(self._key("auth"), OF_AUTH)

    def tables(self, shape: str | None = None) -> dict[str, list[str]]:
        """The columns to land, table by table: the exports' own, or those of `shape`, a system whose records staging turns into them."""
        return settings.needed_columns(shape or self.system)

    def evidence(self, table: str, connector: str) -> Pulled:
        self.pulled.append(evidence := Pulled(self.system, table, connector))
        return evidence
