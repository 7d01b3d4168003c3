"""dbt compiles every macro and model anew in every process; Jinja's own cache of bytecode keeps them beside dbt's parse."""

from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache


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
