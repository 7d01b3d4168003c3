"""Brings a message to its target: tried again where it surely did not arrive, and given up in time for the run."""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential

from pipelines.notify.targets import Target

TRIES = 4
FIRST_WAIT = 1  # second, then twice as long each time
GIVEN_UP_AFTER = 45  # seconds for all targets, which are told side by side: the run waits no longer
ANSWERED = re.compile(r"\berror=(\d{3})\b")
NEVER_REACHED = re.compile(r"NewConnectionError|ConnectTimeout|NameResolutionError|Connection refused|Name or service not known")
REFUSED_BY_MAIL = re.compile(r"\(([45]\d\d), b")
WORTH_ANOTHER_TRY = {408, 421, 425, 429, 450, 451, 452}  # and every 5xx of HTTP


@dataclass(frozen=True)
class Outgoing:
    target: Target
    title: str
    body: str
    kind: str = "info"  # Apprise's: info, warning or failure


class Outcome(NamedTuple):
    """`sent`; `failed`: it did not arrive; `unknown`: nobody answered, and it may have arrived."""

    status: str
    reason: str = ""
    is_worth_another_try: bool = False
    attempts: int = 1

    def sentence(self, name: str) -> str:
        times = f", tried {self.attempts} times" if self.attempts > 1 else ""
        verb = "did not take the message" if self.status == "failed" else "may not have got the message"
        return f"{name} {verb}: {self.reason}{times}."


GIVEN_UP = Outcome("unknown", f"there was no answer within {GIVEN_UP_AFTER} seconds")


def deliver(messages: list[Outgoing], ended: Callable[[Outgoing, Outcome], None] = lambda *_: None) -> list[Outcome]:
    """Each message's outcome, in their order. `ended` is told of each here, in this thread."""
    outcomes: dict[int, Outcome] = {}
    threads = [
        # A daemon: a receiver that never stops answering may not keep the process.
        threading.Thread(target=lambda place, message: outcomes.update({place: attempt(message)}), args=[*place_and_message], daemon=True)
        for place_and_message in enumerate(messages)
    ]
    ends_at = time.monotonic() + GIVEN_UP_AFTER
    for thread in threads:
        thread.start()
    for place, (thread, message) in enumerate(zip(threads, messages, strict=True)):
        thread.join(max(0, ends_at - time.monotonic()))
        ended(message, outcomes.setdefault(place, GIVEN_UP))
    return [outcomes[place] for place in range(len(messages))]


def attempt(message: Outgoing) -> Outcome:
    trying = Retrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_exponential(FIRST_WAIT),
        retry=retry_if_result(lambda outcome: outcome.is_worth_another_try),
        retry_error_callback=lambda state: state.outcome.result(),
    )
    outcome = trying(hand_over, message)
    return outcome._replace(attempts=trying.statistics["attempt_number"])


def hand_over(message: Outgoing) -> Outcome:
    try:
        result = message.target.service.notify(
            body=message.body, title=message.title, notify_type=message.kind, body_format="text", log_level=logging.DEBUG
        )
    except Exception as error:  # of any of a hundred services; its words may hold the URL
        return Outcome("unknown", f"Apprise failed with {type(error).__name__}")
    return Outcome("sent") if result else why("\n".join(entry.message for entry in result.logs()))


def why(said: str) -> Outcome:
    """`said` is what Apprise logged. It may hold the URL, so nothing of it is quoted but a number."""
    if answer := ANSWERED.search(said):
        code = int(answer[1])
        return Outcome("failed", f"it answered HTTP {code}", code >= 500 or code in WORTH_ANOTHER_TRY)
    if answer := REFUSED_BY_MAIL.search(said):
        return Outcome("failed", f"the mail server answered {answer[1]}", int(answer[1]) in WORTH_ANOTHER_TRY)
    if NEVER_REACHED.search(said):
        return Outcome("failed", "it could not be reached", True)
    return Outcome("unknown", "it gave no answer that tells")
