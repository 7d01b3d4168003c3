"""How far a run has come: lines that change on a terminal, plain ones elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic

from rich.console import Console
from rich.status import Status

from pipelines.evidence import Pulled

SPEAK_EVERY = 30  # seconds


class Plain:
    """For logs: each step, and while a pull takes long, now and then how far it is."""

    def __init__(self, console: Console):
        self.console, self.spoke_at = console, monotonic()

    def step(self, name: str) -> None:
        self.console.print(f"{name} …")
        self.spoke_at = monotonic()

    def pulled(self, tables: list[Pulled]) -> None:
        if monotonic() - self.spoke_at >= SPEAK_EVERY:
            for line in lines(tables):
                self.console.print(line)
            self.spoke_at = monotonic()


class Silent(Plain):
    """For a night among many, which has one line, and that comes at its end."""

    def step(self, name: str) -> None:
        pass

    def pulled(self, tables: list[Pulled]) -> None:
        pass


class Live:
    def __init__(self, status: Status):
        self.status, self.name = status, ""

    def step(self, name: str) -> None:
        self.name = name
        self.status.update(name)

    def pulled(self, tables: list[Pulled]) -> None:
        self.status.update("\n".join([self.name, *lines(tables)]))


Progress = Plain | Live


@contextmanager
def shown(console: Console, quiet: bool) -> Iterator[Progress]:
    if quiet or not console.is_terminal or console.is_dumb_terminal:
        yield Plain(console)
        return
    with console.status("starting") as status:
        yield Live(status)


def lines(tables: list[Pulled]) -> list[str]:
    """The tables that were begun; what is fetched of what was declared, and how fast."""
    return [so_far(table) for table in list(tables) if table.fetched]


def so_far(table: Pulled) -> str:
    total = f" of {table.declared_total:,}" if table.declared_total else ""
    share = f" ({100 * table.fetched / table.declared_total:.0f} %)" if table.declared_total else ""
    pages = f", {table.pages:,} pages" if table.pages else ""
    seconds = ((table.finished_at or datetime.now(UTC)) - table.started_at).total_seconds()
    return (
        f"{table.system} {table.table_name}: {table.fetched:,}{total} records{share}{pages}, {table.fetched / max(seconds, 0.001):,.0f}/s"
    )
