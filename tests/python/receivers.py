"""Who gets the messages of the tests: a webhook and a mail server on loopback."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller
from servers import free_port


@dataclass
class Webhook:
    """Apprise's json://. `answer` is its HTTP code, given after `seconds`; `on_message` runs before it."""

    port: int = 0
    got: list[dict] = field(default_factory=list)  # whatever was answered
    answer: int = 200
    seconds: float = 0
    on_message: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook"

    def titles(self) -> list[str]:
        return [message["title"].removeprefix("Tallystick: ") for message in self.got]


@contextmanager
def webhook() -> Iterator[Webhook]:
    receiver = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            receiver.on_message()
            time.sleep(receiver.seconds)
            self.send_response(receiver.answer)
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class MailServer:
    port: int
    got: list = field(default_factory=list)
    answer: str = "250 OK"

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=tallystick@example.org&to=ana@example.org"

    async def handle_DATA(self, _server, _session, envelope) -> str:
        self.got.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.answer


@contextmanager
def mail_server() -> Iterator[MailServer]:
    receiver = MailServer(free_port())
    controller = Controller(receiver, hostname="127.0.0.1", port=receiver.port)
    controller.start()
    try:
        yield receiver
    finally:
        controller.stop()
