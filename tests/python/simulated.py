"""Simulated worlds through the project's compiled models: a second a night instead of five."""

from collections.abc import Iterator

from engine import Engine

from pipelines.simulate.days import Night, nights
from pipelines.simulate.score import Score
from pipelines.simulate.simulation import Simulation


def play(simulation: Simulation, count: int, score: Score | None = None) -> Iterator[tuple[Engine, Night]]:
    """Night after night; what was found goes into `score`, beside the truth."""
    with Engine() as engine:
        for night in nights(simulation, count):
            declared = {table: {"declared_total": total, "is_counted_apart": True} for table, total in night.declared.items()}
            engine.night(night.as_of, evidence=declared, **night.tables)
            if score:
                verdicts = engine.rows("from snapshot.trust.verdicts")
                score.record(night, simulation.truth.rows(), engine.rows("from warehouse.marts.discrepancies"), verdicts)
            yield engine, night


def scored(simulation: Simulation, count: int) -> Score:
    score = Score()
    for _ in play(simulation, count, score):
        pass
    return score
