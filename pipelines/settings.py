"""Where things are, and what the environment and the project's own YAML say."""

import os
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import yaml

from pipelines.failures import BadConfiguration

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"[a-z][a-z0-9_]*")


def quoted(text: Path | str) -> str:
    """For use between the quotes of an SQL literal."""
    return str(text).replace("'", "''")


def state_folder() -> Path:
    """`TALLYSTICK_STATE`, from the project's folder if it is relative."""
    return ROOT / os.environ.get("TALLYSTICK_STATE", "state")


def read_exports(folder: Path) -> None:
    """From here on each system is read from `folder`/<system>, whatever is configured, and the clock is its manifest's."""
    os.environ.pop("TALLYSTICK_AS_OF", None)
    for system in systems():
        os.environ[f"SOURCES__{system.upper()}__CONNECTOR"] = "files"
        os.environ[f"SOURCES__{system.upper()}__PATH"] = str(folder / system)


def fixed_clock() -> datetime | None:
    """`TALLYSTICK_AS_OF` in UTC, or None. Raises BadConfiguration where it is not an ISO 8601 time with a zone."""
    stated = os.environ.get("TALLYSTICK_AS_OF")
    return parse_time(stated, "TALLYSTICK_AS_OF") if stated else None


def parse_time(stated: str, where: str) -> datetime:
    """An ISO 8601 time with its zone, as UTC. Raises BadConfiguration naming `where`."""
    try:
        time = datetime.fromisoformat(stated)
    except (TypeError, ValueError):
        time = None
    if time is None or time.tzinfo is None:
        raise BadConfiguration(f"{where} must be an ISO 8601 time with a zone, such as 2026-03-03T03:00:00Z, not {stated!r}.")
    return time.astimezone(UTC)


@cache
def needed_columns(system: str) -> dict[str, list[str]]:
    """The tables of a system and their columns, in order, as its sources YAML declares them. Raises BadConfiguration."""
    declared = yaml.safe_load((ROOT / f"models/staging/{system}/_{system}__sources.yml").read_text())
    tables = {
        table["name"]: [column["name"] for column in table["columns"]]
        for source in declared["sources"]
        if source["name"] == system
        for table in source["tables"]
    }
    refuse_code([*tables, *(column for columns in tables.values() for column in columns)], f"in the sources of {system}")
    return tables


def project_vars() -> dict:
    """`vars` of dbt_project.yml. Raises BadConfiguration where a pair has a name or a threshold that can't be one."""
    return project()["vars"]


def seed_columns() -> dict[str, list[str]]:
    """Every seed's columns, in order, as dbt_project.yml types them."""
    seeds = project()["seeds"]["tallystick"]
    return {name: [*stated["+column_types"]] for name, stated in seeds.items() if isinstance(stated, dict) and "+column_types" in stated}


@cache
def project() -> dict:
    """dbt_project.yml, its pairs checked. Raises BadConfiguration."""
    try:
        stated = yaml.safe_load((ROOT / "dbt_project.yml").read_text())
        check_pairs(stated["vars"])
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise BadConfiguration(f"dbt_project.yml can't be read: {type(error).__name__}: {' '.join(str(error).split())}") from error
    return stated


def systems() -> list[str]:
    """The systems of all pairs, by name."""
    pairs = project_vars()["reconciliations"].values()
    return sorted({side["system"] for pair in pairs for side in (pair["left"], pair["right"])})


def check_pairs(stated: dict) -> None:
    """Raises BadConfiguration where a name could be code or a threshold does not exist."""
    for pair, entry in stated["reconciliations"].items():
        sides = [entry["left"], entry["right"]]
        names = [pair, *(side["system"] for side in sides), *(table for side in sides for table in side["tables"])]
        names += entry.get("slices") or []
        refuse_code(names, "under reconciliations in dbt_project.yml")
        if unknown := sorted(set(entry.get("thresholds") or {}) - set(stated["thresholds"])):
            raise BadConfiguration(
                f"{pair} in dbt_project.yml has a threshold {unknown[0]!r}; known are {', '.join(stated['thresholds'])}."
            )


def refuse_code(names: list[str], where: str) -> None:
    """Names become part of SQL, paths and Jinja as they are. Raises BadConfiguration on one that is not plain."""
    for name in names:
        if not NAME.fullmatch(name):
            raise BadConfiguration(f"{name!r} {where} is not a plain lower-case name.")
