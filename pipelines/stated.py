"""What .dlt/config.toml, .dlt/secrets.toml and the environment say of a system, as a source or as a target."""

from dataclasses import dataclass
from typing import Any, ClassVar

import dlt
from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException

from pipelines.failures import BadConfiguration
from pipelines.sources.words import refuse_unknown


@dataclass(frozen=True)
class Stated:
    """The settings under `[<section>.<system>]`."""

    section: ClassVar[str]
    system: str

    def setting(self, name: str, default: Any = None) -> Any:
        """Of .dlt/config.toml or the environment, of the default's type. Raises BadConfiguration."""
        kind = str if default is None else type(default)  # without a type dlt would guess one
        try:
            value = dlt.config.get(self.place(name), kind)
        except ConfigValueCannotBeCoercedException:
            raise BadConfiguration(f"{self.place(name)} can't be read as a {kind.__name__}.") from None
        return self._stated(name, ".dlt/config.toml", default if value is None else value)

    def is_on(self, name: str, default: bool) -> bool:
        stated = self.setting(name, str(default)).lower()
        if stated not in ("true", "false"):
            raise BadConfiguration(f"{self.place(name)} must be true or false, not {stated!r}.")
        return stated == "true"

    def secret(self, name: str) -> str:
        """The same of .dlt/secrets.toml or the environment."""
        value = dlt.secrets.get(self.place(name))  # of any type that is not dlt's own for secrets it keeps a trace
        return str(self._stated(name, ".dlt/secrets.toml", value))

    def names(self, table: str, defaults: dict[str, str]) -> dict[str, str]:
        """What an account calls each column's field: `[<section>.<system>.<table>]`, or else the default."""
        refuse_unknown(self.place(table), defaults)
        return {column: self.setting(f"{table}.{column}", default) for column, default in defaults.items()}

    def place(self, name: str) -> str:
        return f"{self.section}.{self.system}.{name}"

    def variable(self, name: str) -> str:
        return self.place(name).replace(".", "__").upper()

    def _stated(self, name: str, file: str, value: str | None) -> str:
        if value is None:
            raise BadConfiguration(f"{self.place(name)} is not set; set it in {file} or as {self.variable(name)}.")
        return value
