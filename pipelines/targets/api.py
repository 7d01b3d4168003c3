"""Writes by an HTTP API: what may be sent again is, what may have been written twice is not, and no faster than is allowed."""

import json
from typing import Any, ClassVar
from urllib.parse import urljoin

import requests
from dlt.sources.helpers.requests import Client
from requests.exceptions import ConnectTimeout
from requests_ratelimiter import LimiterMixin
from tenacity import RetryCallState
from urllib3.exceptions import MaxRetryError, NewConnectionError

from pipelines.failures import BadConfiguration
from pipelines.show import plain
from pipelines.sources.api import Whole, refuse_no_address, session_of
from pipelines.targets.target import NoAnswer, Refused, TargetSettings, Unavailable

MOST_SAID = 200  # characters


class Missing(Refused):
    """The API itself says that there is no such record."""


class Paced(LimiterMixin, Whole):
    """At most so many requests a second, whatever they are for."""


class WritingApi:
    """One system's API. 429 is asked again as long as Retry-After says; what else may pass, only where twice is as good as once."""

    is_idempotent = False
    unclear: tuple[int, ...] = ()  # statuses below 500 after which nobody knows either
    advice: ClassVar[dict[int, str]] = {
        401: "check that the key is valid and has not expired",
        403: "check that the key may write this",
    }

    def __init__(self, settings: TargetSettings, base_url: str, headers: dict[str, str], setting: str = "base_url"):
        refuse_no_address(base_url, f"targets.{settings.system}.{setting}")
        rate = settings.setting("requests_per_second", 5.0)
        if rate <= 0:
            raise BadConfiguration(f"targets.{settings.system}.requests_per_second must be more than 0.")
        pace = Paced(per_second=rate, per_host=False, limit_statuses=())
        careful = Client(raise_for_status=False, status_codes=(429,), exceptions=(), retry_condition=never_left)
        self.settings, self.base_url = settings, base_url.rstrip("/") + "/"
        self.once = session_of(careful, self.base_url, headers, pace)
        self.again = session_of(Client(raise_for_status=False), self.base_url, headers, pace)
        self.again.send.retry.before_sleep = self.note
        self.may_be_written = False  # by an attempt before the last one
        self.secrets = {part for value in headers.values() for part in value.split() if len(part) > 7}

    def ask(self, method: str, path: str, can_repeat: bool, **request) -> requests.Response:
        """An answer of 2xx, from this host. `can_repeat`: what target.can_repeat() says, or that it only reads.

        Raises Refused, NoAnswer or Unavailable.
        """
        session, self.may_be_written = self.again if can_repeat else self.once, False
        try:
            response = session.request(method, urljoin(self.base_url, path.lstrip("/")), allow_redirects=False, **request)
        except requests.RequestException as error:
            kind = Unavailable if never_left(None, error) and not self.may_be_written else NoAnswer
            raise kind(f"no whole answer came from {self.settings.system} ({type(error).__name__})") from error
        status = response.status_code
        if 200 <= status < 300:
            return response
        told = "; ".join(filter(None, (f"status {status}", self.advice.get(status), self.said(response))))
        if status >= 500 or status in self.unclear or (status in (401, 429) and self.may_be_written):
            raise NoAnswer(told)
        if status == 404 and "json" in response.headers.get("Content-Type", ""):
            raise Missing(told)
        raise (Unavailable if status in (401, 429) else Refused)(told)

    def note(self, attempt: RetryCallState) -> None:
        """Of one that another follows."""
        error = attempt.outcome.exception()
        self.may_be_written |= not never_left(None, error) if error else attempt.outcome.result().status_code != 429

    def take_away(self, method: str, path: str, **request) -> str:
        """What is gone by an attempt whose answer was lost is gone: that was wanted."""
        try:
            return f"status {self.ask(method, path, True, **request).status_code}"
        except Missing as missing:
            return f"gone already: {missing}"

    def said(self, response: requests.Response) -> str:
        """The body's own message, in plain text; nothing where it holds what the request was signed with."""
        try:
            message = message_in(json.loads(response.content))
        except (ValueError, RecursionError):
            return ""
        return "" if any(secret in message for secret in self.secrets) else plain(" ".join(message.split()))[:MOST_SAID]


def message_in(body: Any) -> str:
    """Where APIs keep it: message, error, error.message, or that of the first of a list."""
    if isinstance(body, list):
        return message_in(body[0]) if body else ""
    if not isinstance(body, dict):
        return body if isinstance(body, str) else ""
    return next((found for name in ("message", "error", "errors") if (found := message_in(body.get(name)))), "")


def never_left(response: requests.Response | None, error: BaseException | None) -> bool:
    """Whether there was not even a connection."""
    cause = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else None
    return isinstance(error, ConnectTimeout) or (isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError))
