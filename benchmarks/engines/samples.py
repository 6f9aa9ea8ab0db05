"""What was measured in several rounds, and how it is summed up: by medians of the rounds, beside their extremes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

# The samples of each round.
Rounds = Sequence[Sequence[float]]
Summary = Callable[[Sequence[float]], float]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, and the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values))


def p50(samples: Sequence[float]) -> float:
    return median(samples)


def p99(samples: Sequence[float]) -> float:
    return quantiles(samples, n=100, method="inclusive")[-1]


def spread(rounds: Rounds, summary: Summary) -> Spread:
    """Of what sums up each round."""
    return Spread.of([summary(samples) for samples in rounds])


def ratio(ours: Rounds, theirs: Rounds, summary: Summary) -> Spread:
    """Of what the rounds say, each of which compares what took turns in it."""
    return Spread.of([summary(our) / summary(their) for our, their in zip(ours, theirs, strict=True)])
