"""Object stores of the tests' own, on loopback: moto's S3 API, a small SFTP server, and a proxy that can spoil what S3 answers."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import boto3
import paramiko
import requests
from moto.server import ThreadedMotoServer

KEY, SECRET = "AKIACANARYACANARYACA", "canary-9vX2-of-the-bucket"
USER, PASSWORD = "exports", "canary-4hTq-of-the-host"
Spoil = Callable[[str, bytes], bytes | None]  # what the client gets of a body; None hangs up in its middle


@dataclass
class Bucket:
    """`url` is the real API's; `proxy` spoils what passes through it."""

    url: str
    name: str = "exports"

    @cached_property
    def client(self):
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET)

    def put(self, key: str, content: str | bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content.encode() if isinstance(content, str) else content)

    def put_folder(self, folder: Path, prefix: str) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())


@contextmanager
def s3() -> Iterator[Bucket]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Bucket(f"http://{host}:{port}")
    finally:
        server.stop()


@dataclass
class Proxy:
    """Passes everything on to the real API. `spoil` sees the path, with its query, and the body; `seen` are the paths."""

    target: str
    spoil: Spoil = lambda path, body: body
    meanwhile: Callable[[str], object] = lambda path: None
    status: dict[str, int] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> "Proxy":
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
        self.server.daemon_threads, self.server.proxy = True, self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        proxy = self.server.proxy
        path = unquote(self.path)
        proxy.seen.append(path)
        proxy.meanwhile(path)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        got = requests.request(self.command, proxy.target + self.path, headers=headers, timeout=30)
        status = next((code for part, code in proxy.status.items() if part in path), got.status_code)
        body = proxy.spoil(path, got.content) if self.command == "GET" else b""
        with suppress(OSError):
            self.send_response(status)
            for name, value in got.headers.items():
                if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                    self.send_header(name, value)
            length = len(got.content) if body is None else len(body)
            self.send_header("Content-Length", got.headers.get("Content-Length", "0") if self.command == "HEAD" else str(length))
            self.end_headers()
            self.wfile.write(got.content[: length // 2] if body is None else body)
        self.close_connection = body is None

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


class Account(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if (username, password) == (USER, PASSWORD) else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def get_allowed_auths(self, username: str) -> str:
        return "password"


class Opened(paramiko.SFTPHandle):
    def stat(self) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


class Files(paramiko.SFTPServerInterface):
    """For reading, below `root`; what a test wants to happen meanwhile happens when a file is opened."""

    root: Path
    meanwhile: Callable[[str], object]

    def place(self, path: str) -> Path:
        return self.root / self.canonicalize(path).lstrip("/")

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        try:
            return [paramiko.SFTPAttributes.from_stat(entry.lstat(), entry.name) for entry in self.place(path).iterdir()]
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        try:
            return paramiko.SFTPAttributes.from_stat(self.place(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    lstat = stat

    def open(self, path: str, flags: int, attributes: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        self.meanwhile(path)
        try:
            handle = Opened(flags)
            handle.readfile = self.place(path).open("rb")
            return handle
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)


@dataclass
class Host:
    port: int
    known: str  # its line in known_hosts
    files: type[Files]


@contextmanager
def sftp(root: Path) -> Iterator[Host]:
    """A real server speaking SSH on a socket; each connection has threads of its own."""
    key = paramiko.ECDSAKey.generate()
    files = type("FilesHere", (Files,), {"root": root, "meanwhile": staticmethod(lambda path: None)})
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    transports = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transports.append(transport)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, files)
            with suppress(paramiko.SSHException, EOFError):
                transport.start_server(server=Account())

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield Host(port, f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n", files)
    finally:
        listener.close()
        for transport in transports:
            transport.close()
