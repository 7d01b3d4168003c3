"""A configuration for the connectors that a person chooses.

There is no list of what to ask: each source is begun as for check-sources, and what it must know and nobody has said is asked for.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

import dlt
import tomlkit
from dlt.common.runtime.run_context import active
from rich.console import Console
from rich.prompt import Prompt

from pipelines import settings
from pipelines.failures import BadConfiguration, Failure
from pipelines.look import Look, look
from pipelines.pull import CONNECTORS
from pipelines.sources import words
from pipelines.sources.side import Side

NOTHING_WRITTEN = "Nothing was written; run tallystick init again."
OUR_SAMPLE = "sample/"


class Unsaid(BadConfiguration):
    """What a source must know stands nowhere, and there is nobody to ask."""

    way_out = NOTHING_WRITTEN


@dataclass(frozen=True)
class Asking(Side):
    """A side that asks `people` for what has no default. Secrets that the environment holds stay there."""

    people: Console | None = None
    is_new: bool = True  # the file speaks of another connector
    said: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def setting(self, name: str, default: Any = None) -> Any:
        if default is None and name not in self.said:
            self.said[name] = os.environ.get(self.variable(name)) or self.asked(name, dlt.config.get(self.place(name), str))
            dlt.config[self.place(name)] = self.said[name]
        return super().setting(name, default)

    def secret(self, name: str) -> str:
        if name not in self.secrets and self.variable(name) not in os.environ:
            self.secrets[name] = self.asked(name, dlt.secrets.get(self.place(name)), is_secret=True)
            dlt.secrets[self.place(name)] = self.secrets[name]
        return super().secret(name)

    def asked(self, name: str, before: str | None, is_secret: bool = False) -> str:
        if self.people is None:
            if before is None:
                raise Unsaid(f"{self.place(name)} is not set, and there is no terminal to ask at: set {self.variable(name)}.")
            return before
        hint = (" (not shown; Enter keeps what is there)" if before else " (not shown)") if is_secret else ""
        show_default, answer = bool(before) and not is_secret, ""
        while not answer:
            answer = Prompt.ask(
                f"{self.system} {name}{hint}", console=self.people, password=is_secret, default=before or "", show_default=show_default
            )
        return answer


def configure(chosen: dict[str, str | None], console: Console, show: Callable[[Look], None]) -> None:
    """Asks, looks, and then writes .dlt/config.toml and secrets.toml; where it is interrupted before, both stay as they were.

    `chosen` are connectors by system; where it has none it is asked for. Raises Failure, written or not, and says which.
    """
    try:
        sides, failures = looked_at(chosen, console, show)
    except (KeyboardInterrupt, EOFError):
        raise Failure("Interrupted", NOTHING_WRITTEN) from None
    folder = Path(active().settings_dir)
    secrets = {side.system: side.secrets for side in sides if side.secrets}
    if secrets:
        write(folder / "secrets.toml", secrets, set(), 0o600)
    write(folder / "config.toml", {side.system: side.said for side in sides}, {side.system for side in sides if side.is_new}, 0o644)
    console.print(f"\nWritten: {folder / 'config.toml'}" + (" and secrets.toml beside it, which git does not see" if secrets else ""))
    if failures:
        way_out = "The configuration is written: run tallystick init again, or correct it there and run tallystick check-sources."
        raise type(failures[0])("Not every table could be read", way_out) from failures[0]


def looked_at(chosen: dict[str, str | None], console: Console, show: Callable[[Look], None]) -> tuple[list[Asking], list[Failure]]:
    """The sides with what was said of them, and what went wrong when they were looked at."""
    words.files()  # raises where one is no TOML
    people = console if console.is_terminal and os.isatty(0) else None
    connectors = {system: choose(system, chosen.get(system), people) for system in settings.systems()}
    sides, failures = [], []
    for system, connector in connectors.items():
        console.print(f"\n{system} from {connector}; docs/sources/{connector}.md tells what it must know and which rights it needs")
        with TemporaryDirectory() as work:
            sides.append(begun(system, connector, Path(work), people))
            try:
                for found in look(sides[-1]):
                    show(found)
            except Unsaid:
                raise
            except Failure as failure:
                failures.append(failure)
                console.print(failure.what)
    return sides, failures


def choose(system: str, chosen: str | None, people: Console | None) -> str:
    """The connector of a system. Raises BadConfiguration where it can't be that, or would replace another one unasked."""
    possible = [name for name, only in CONNECTORS.items() if only in (None, system)]
    now = in_config(system)
    connector = os.environ.get(f"SOURCES__{system.upper()}__CONNECTOR") or chosen
    if connector is None and people:
        connector = Prompt.ask(f"{system}: where from?", console=people, choices=possible, default=now.get("connector"))
    if connector not in possible:
        raise BadConfiguration(f"{system} must come from one of {', '.join(possible)}: --{system} {possible[0]}.", NOTHING_WRITTEN)
    is_other = now.get("connector", connector) != connector and not str(now.get("path")).startswith(OUR_SAMPLE)
    question = f"{system} comes from {now.get('connector')} now. Replace what .dlt says of it?"
    if is_other and (not people or Prompt.ask(question, console=people, choices=["yes", "no"], default="no") == "no"):
        why = f"{system} comes from {now['connector']}, which is replaced only where a person at a terminal says so."
        raise BadConfiguration(why, NOTHING_WRITTEN)
    return connector


def in_config(system: str) -> dict[str, Any]:
    """What .dlt/config.toml says of it, which neither the environment nor secrets.toml hides."""
    stated, _ = dlt.config.writable_provider.get_value(system, dict, None, "sources")
    return stated or {}


def begun(system: str, connector: str, work: Path, people: Console | None) -> Asking:
    place, is_new = f"sources.{system}", in_config(system).get("connector") != connector
    if is_new:
        dlt.config[place] = None  # the answers were another connector's
    dlt.config[f"{place}.connector"] = connector
    return Asking(system, work, [], is_look=True, people=people, is_new=is_new, said={"connector": connector})


def write(file: Path, said: dict[str, dict[str, str]], new: set[str], mode: int) -> None:
    """Puts the answers into the tables [sources.*], which begin empty for systems in `new`. All else stays, comments too."""
    document = tomlkit.parse(file.read_text("utf-8")) if file.exists() else tomlkit.document()
    sources = document.setdefault("sources", tomlkit.table(is_super_table=True))
    for system, answers in said.items():
        if system in new:
            sources[system] = tomlkit.table()
        for name, answer in answers.items():
            *holders, last = name.split(".")
            table = sources
            for holder in (system, *holders):
                table = table.setdefault(holder, tomlkit.table())
            table[last] = answer
        if system in new:
            sources[system].add(tomlkit.nl())
    with NamedTemporaryFile("w", dir=file.parent, encoding="utf-8", delete=False) as written:
        written.write(tomlkit.dumps(document))
    try:
        Path(written.name).chmod(mode)
        os.replace(written.name, file)
    finally:
        Path(written.name).unlink(missing_ok=True)
