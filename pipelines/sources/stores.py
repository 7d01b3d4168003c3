"""Where exports lie: a folder of this machine or of an object store. Both list alike; what is remote is copied here to be read."""

import errno
import hashlib
import logging
import os
import posixpath
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.common.storages.configuration import FilesystemConfiguration
from dlt.common.storages.fsspec_filesystem import MTIME_DISPATCH, fsspec_from_config, prepare_fsspec_args
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from pipelines import settings
from pipelines.failures import BadConfiguration, SourceFailed, first_line
from pipelines.sources.side import Side

LIBRARIES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "abfss": "adlfs", "sftp": "paramiko"}
# Several at once hold what they got in memory, and write into a file of full length, where what did not come is zeros.
ONE_STREAM = {"s3": {"max_concurrency": 1}, "gs": {"concurrency": 1}, "az": {"max_concurrency": 1}, "abfss": {"max_concurrency": 1}}
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Part:
    """A file as it was listed, in `folder` ("" or a table's own). `path` is where it can be read; people know it as `shown`."""

    folder: str
    name: str
    size: int
    written_at: datetime
    version: str
    shown: str
    path: Path = field(compare=False)
    key: str = ""

    def __str__(self) -> str:
        return self.shown

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()


class LocalFolder:
    def __init__(self, side: Side, path: Path):
        self.path = path
        if not path.is_dir():
            raise SourceFailed(f"{side.system}: there is no folder {path}.")

    def __str__(self) -> str:
        return str(self.path)

    def listed(self, tables: Iterable[str]) -> list[Part]:
        """The files in the folder and in the tables' own."""
        return [
            Part(folder, path.name, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC), str(stat.st_mtime_ns), str(path), path)
            for folder in ("", *tables)
            if (self.path / folder).is_dir()
            for path in (self.path / folder).iterdir()
            if path.is_file()
            for stat in [path.stat()]
        ]

    def fetch(self, part: Part) -> None:
        """It is here."""

    def release(self, part: Part) -> None:
        """It stays."""


class RemoteFolder:
    """What fsspec can list, with dlt's credentials, of which nothing is in what is raised. Retries are the libraries' own."""

    def __init__(self, side: Side, url: str):
        self.side, self.url, self.scheme = side, url.rstrip("/"), urlsplit(url).scheme
        self.config = configured(side, url)
        with self.asked(self.url):
            self.filesystem, root = connected(self.config)
        self.root = root.rstrip("/")

    def __str__(self) -> str:
        return self.url

    def listed(self, tables: Iterable[str]) -> list[Part]:
        """As it is now. Only the folder and the tables' own are listed, however much lies below it."""
        with self.asked(self.url):
            self.filesystem.invalidate_cache()
            here = self.entries("")
            own = [name for name, entry in here if entry["type"] == "directory" and name in set(tables)]
            found = [("", here), *((name, self.entries(name)) for name in own)]
            return [self.part(folder, name, entry) for folder, entries in found for name, entry in entries if entry["type"] == "file"]

    def entries(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        """With their names. A store may list the folder itself among its files: an empty object that consoles leave."""
        path = posixpath.join(self.root, folder).rstrip("/")
        listed = self.filesystem.ls(path or "/", detail=True)
        there = [self.filesystem.info(entry["name"]) if entry["type"] == "link" else entry for entry in listed]
        return [(posixpath.basename(entry["name"].rstrip("/")), entry) for entry in there if entry["name"].rstrip("/") != path]

    def part(self, folder: str, name: str, entry: dict[str, Any]) -> Part:
        place = posixpath.join(folder, name)
        version = next((str(entry[key]) for key in ("ETag", "etag", "generation") if entry.get(key)), "")
        copy = self.side.work / f"{hashlib.sha256(place.encode()).hexdigest()}{Path(name).suffix}"
        return Part(folder, name, entry["size"], MTIME_DISPATCH[self.scheme](entry), version, f"{self.url}/{place}", copy, entry["name"])

    def fetch(self, part: Part) -> None:
        """Copies it to its path. Other bytes than were listed are refused, unless the object has changed since: the end then says so."""
        with self.asked(part.shown):
            self.filesystem.get_file(part.key, str(part.path), **ONE_STREAM.get(self.scheme, {}))
        came = part.path.stat().st_size
        if came != part.size and part in self.listed([part.folder]):
            raise SourceFailed(f"{self.side.system}: of the {part.size:,} bytes of {part} {came:,} came.")

    def release(self, part: Part) -> None:
        part.path.unlink(missing_ok=True)

    @contextmanager
    def asked(self, shown: str) -> Iterator[None]:
        """Whatever a store's library raises, as one sentence in the store's own words."""
        try:
            yield
        except Exception as error:
            if isinstance(error, SourceFailed) or (isinstance(error, OSError) and error.errno in DISK_IS_FULL):
                raise
            what = f"there is no {shown}" if isinstance(error, FileNotFoundError) else f"{shown} can't be read"
            raise SourceFailed(f"{self.side.system}: {what}: {self.reason(error)}.") from None

    def reason(self, error: Exception) -> str:
        said = first_line(error)[:300].removesuffix(".")
        return type(error).__name__ if any(secret in said for secret in secrets(self.config.credentials)) else said


def opened(side: Side) -> LocalFolder | RemoteFolder:
    """The folder that `[sources.<system>] path` names. Raises SourceFailed where there is none, or BadConfiguration."""
    path = side.setting("path")
    return RemoteFolder(side, path) if "://" in path else LocalFolder(side, settings.ROOT / path)


def configured(side: Side, url: str) -> FilesystemConfiguration:
    """`[sources.<system>.credentials]`, resolved by dlt for that kind of store. Raises BadConfiguration."""
    where = f"sources.{side.system}"
    parts = urlsplit(url)
    scheme = parts.scheme
    if scheme not in LIBRARIES:
        raise BadConfiguration(f"{where}.path begins with {scheme}://; there are {', '.join(f'{name}://' for name in LIBRARIES)}.")
    if parts.password or (scheme == "sftp" and parts.netloc != parts.hostname):
        raise BadConfiguration(f"{where}.path holds a user, a password or a port; they belong under {where}.credentials.")
    # gcsfs would ask by another API, for a minute where that is shut, whether the bucket is of a kind that few have.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        import_module(LIBRARIES[scheme])
        config = resolve_configuration(FilesystemConfiguration(bucket_url=url), sections=("sources", side.system))
    except ModuleNotFoundError as error:
        raise BadConfiguration(f"{where} needs {error.name}, which is not installed; run make setup.") from error
    except ConfigurationException:  # its text may quote what it could not read
        raise BadConfiguration(
            f"{where}.credentials or .path is not complete or can't be read; docs/sources/files.md has what {scheme}:// needs."
        ) from None
    config.kwargs = {"skip_instance_cache": True} | (known_hosts(side) if scheme == "sftp" else {}) | dict(config.kwargs or {})
    return config


def connected(config: FilesystemConfiguration) -> tuple[AbstractFileSystem, str]:
    if config.protocol != "sftp":
        return fsspec_from_config(config)
    arguments = prepare_fsspec_args(config)  # dlt 1.31 still passes the GSS-API's, which paramiko 5 no longer knows
    return url_to_fs(config.bucket_url, **{name: value for name, value in arguments.items() if not name.startswith("gss_")})


def known_hosts(side: Side) -> dict[str, Any]:
    """fsspec's own policy gives the password to whoever answers."""
    import paramiko

    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # what fails is raised, and told in one sentence
    known = Path(side.setting("known_hosts", "~/.ssh/known_hosts")).expanduser()

    class Known(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, client, hostname, key):
            if not (known.is_file() and paramiko.HostKeys(str(known)).check(hostname, key)):
                raise paramiko.SSHException(f"the {key.get_name()} key of {hostname} is not in {known}")

    return {"host_key_policy": Known()}


def secrets(credentials: Any) -> list[str]:
    hints = credentials.get_resolvable_fields() if credentials else {}
    return [value for name, hint in hints.items() if is_secret_hint(hint) and isinstance(value := credentials.get(name), str) and value]
