"""What dbt makes anew in every process, a third of its start: templates compiled, schemas of its own files, kept beside its parse."""

import json
import os
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

from jinja2 import Environment, FileSystemBytecodeCache

MAKE_SCHEMAS = ("dbt-core", "dbt-common", "dbt-adapters", "dbt-duckdb", "mashumaro")


def compile_late() -> None:
    """To be called before dbt is imported: of its thousand ways to read and write its dataclasses a run needs a few dozen."""
    from mashumaro.config import BaseConfig

    BaseConfig.lazy_compilation = True


def remember_templates(folder: str) -> None:
    """In `folder`, by their source. A cache that can't be written is none."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    cache = FileSystemBytecodeCache(folder)
    compile_anew = Environment.compile

    def compiled(environment, source, name=None, filename=None, raw=False, defer_init=False):
        if raw or not isinstance(source, str):
            return compile_anew(environment, source, name, filename, raw, defer_init)
        key = f"{type(environment).__qualname__} {sha256(source.encode()).hexdigest()}"
        bucket = cache.get_bucket(environment, key, filename, source)
        if bucket.code is None:
            bucket.code = compile_anew(environment, source, name, filename, raw, defer_init)
            with suppress(OSError):
                cache.set_bucket(bucket)
        return bucket.code

    Environment.compile = compiled


def remember_schemas(folder: str) -> None:
    """In `folder`, by class and by the versions of what makes them."""
    from dbt_common import dataclass_schema

    versions = "-".join(version(package) for package in MAKE_SCHEMAS)
    make_anew = dataclass_schema.build_json_schema

    def schema_of(of: type) -> SimpleNamespace:
        file = Path(folder) / f"{of.__module__}.{of.__qualname__}-{versions}.json"
        try:
            schema = json.loads(file.read_text())
        except (OSError, ValueError):
            schema = make_anew(of).to_dict()
            with suppress(OSError):
                write_whole(file, json.dumps(schema))
        return SimpleNamespace(to_dict=lambda: schema)

    dataclass_schema.build_json_schema = schema_of


def write_whole(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(f".{os.getpid()}")
    beside.write_text(text)
    beside.replace(file)
