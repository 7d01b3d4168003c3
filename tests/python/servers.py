"""Database servers of the tests' own, on loopback, in a folder that goes with them."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pymysql
import pytest

PLACES = os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))])
# Both refuse to run as root.
SOMEBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
OWNER = "owner"
OWNERS_PASSWORD = "the-owner-s-own"  # noqa: S105
READER = "reader"
PASSWORD = "canary-7Qm2xT-of-the-reader"  # noqa: S105


@dataclass
class Server:
    """`admin` opens a connection that may do anything; `url` is for the reader, who may only select."""

    kind: str
    port: int

    @property
    def url(self) -> str:
        return self.url_with(PASSWORD)

    def url_with(self, password: str) -> str:
        return f"{self.kind}://{READER}:{password}@127.0.0.1:{self.port}/shop"

    def admin(self, autocommit: bool = True):
        if self.kind == "postgresql":
            return psycopg.connect(
                host="127.0.0.1", port=self.port, user=OWNER, password=OWNERS_PASSWORD, dbname="shop", autocommit=autocommit
            )
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=OWNER, password=OWNERS_PASSWORD, database="shop", autocommit=autocommit
        )

    def run(self, *statements: str) -> list[tuple]:
        """What the last statement answers."""
        with closing(self.admin()) as connection, closing(connection.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def fill(self, table: str, columns: list[str], rows: list[tuple]) -> None:
        places = ", ".join(["%s"] * len(columns))
        with closing(self.admin()) as connection, closing(connection.cursor()) as cursor:
            cursor.executemany(f"insert into {table} ({', '.join(map(self.quoted, columns))}) values ({places})", rows)

    def quoted(self, name: str) -> str:
        return f'"{name}"' if self.kind == "postgresql" else f"`{name}`"


@contextmanager
def postgresql() -> Iterator[Server]:
    initdb, postgres = (binary(name, "postgresql") for name in ("initdb", "postgres"))
    with folder() as home:
        (home / "password").write_text(OWNERS_PASSWORD)
        (home / "password").chmod(0o644)
        finish(
            [initdb, "-D", home / "data", "-U", OWNER, "--auth=scram-sha-256", f"--pwfile={home / 'password'}", "--no-sync",
             "--encoding=UTF8", "--locale=C"]
        )  # fmt: skip
        server = Server("postgresql", free_port())
        command = [postgres, "-D", home / "data", "-h", "127.0.0.1", "-p", server.port, "-k", home, "-F"]
        with running(command, home, lambda: psycopg.connect(
            host="127.0.0.1", port=server.port, user=OWNER, password=OWNERS_PASSWORD, dbname="postgres", autocommit=True
        )) as connection:  # fmt: skip
            connection.execute("create database shop")
            connection.close()
            server.run(
                f"create role {READER} login password '{PASSWORD}'",
                f"alter default privileges in schema public grant select on tables to {READER}",
            )
            yield server


@contextmanager
def mariadb() -> Iterator[Server]:
    install, mariadbd = (binary(name, "mariadb-server") for name in ("mariadb-install-db", "mariadbd"))
    with folder() as home:
        data, here = f"--datadir={home / 'data'}", home / "socket"
        finish([install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"])
        server = Server("mariadb", free_port())
        command = [
            mariadbd, "--no-defaults", data, f"--socket={here}", f"--port={server.port}", "--bind-address=127.0.0.1",
            f"--pid-file={home / 'pid'}", "--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=64M",
        ]  # fmt: skip
        with running(command, home, lambda: pymysql.connect(unix_socket=str(here), user="root", autocommit=True)) as connection:
            with connection.cursor() as cursor:
                for statement in (
                    "create database shop character set utf8mb4 collate utf8mb4_bin",
                    f"create user {OWNER}@'127.0.0.1' identified by '{OWNERS_PASSWORD}'",
                    f"grant all on *.* to {OWNER}@'127.0.0.1' with grant option",
                    f"create user {READER}@'127.0.0.1' identified by '{PASSWORD}'",
                    f"grant select on shop.* to {READER}@'127.0.0.1'",
                ):
                    cursor.execute(statement)
            connection.close()
            yield server


@contextmanager
def folder() -> Iterator[Path]:
    """pytest's own can be entered by root alone."""
    home = Path(tempfile.mkdtemp(prefix="tallystick-server-"))
    if SOMEBODY:
        shutil.chown(home, "nobody")
    try:
        yield home
    finally:
        shutil.rmtree(home)


@contextmanager
def running(command: list, home: Path, connect) -> Iterator:
    """Waits until `connect` gives a connection; ends the server with the block."""
    with (home / "log").open("w") as log:
        process = subprocess.Popen([*SOMEBODY, *map(str, command)], stdout=log, stderr=log, cwd=home)
    try:
        ends_at = time.monotonic() + 60
        while True:
            try:
                connection = connect()
                break
            except (psycopg.Error, pymysql.Error):
                if process.poll() is not None or time.monotonic() > ends_at:
                    pytest.fail(f"{command[0]} did not start: {(home / 'log').read_text()[-2000:]}")
                time.sleep(0.1)
        yield connection
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def binary(name: str, package: str) -> str:
    """Missing on a newcomer's machine its tests are left out, and say so; in CI they fail, as a test that nobody ran says nothing."""
    if found := shutil.which(name, path=PLACES):
        return found
    (pytest.fail if "CI" in os.environ else pytest.skip)(f"{name} is not installed: apt-get install -y {package} (as .ci/run does)")


def finish(command: list) -> None:
    ended = subprocess.run([*SOMEBODY, *map(str, command)], capture_output=True, text=True, cwd="/")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
