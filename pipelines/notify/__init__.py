"""Messages to people, through Apprise: what a run has to tell them, and what any other command has.

What it needs is imported when it is used: where nobody is to be told, nobody waits for it.
"""

from pathlib import Path


def notify(state: Path) -> None:
    """Tells each target of `[notify] urls` what the last run has for it, at most once. Raises Failure where a message was not taken."""
    from pipelines.notify.tell import tell

    tell(state)


def send(title: str, body: str) -> list[str]:
    """The same text to every target, with nothing kept of it. Returns what failed, a sentence each."""
    from pipelines.notify.deliver import Outgoing, deliver
    from pipelines.notify.targets import targets

    found = targets()
    if not found:
        return ["Nobody was told: there are no [notify] urls in .dlt/secrets.toml."]
    outcomes = deliver([Outgoing(target, title, body) for target in found])
    return [outcome.sentence(target.name) for target, outcome in zip(found, outcomes, strict=True) if outcome.status != "sent"]


def refuse_bad_settings() -> None:
    """Raises BadConfiguration where [notify] can't be read, so that it is known before a run and not at its end."""
    from pipelines.notify.targets import first_day_of_week, targets

    targets()
    first_day_of_week()
