"""All questions, in the order of the page."""

from collections.abc import Sequence

from benchmarks.behaviour import of_containers, of_failures, of_places, of_responses, of_servers
from benchmarks.behaviour.question import Question

GROUPS: dict[str, Sequence[Question]] = {
    "The response": of_responses.QUESTIONS,
    "Who may add tasks": of_places.QUESTIONS,
    "When something fails": of_failures.QUESTIONS,
    "Load, shutdown, death": of_servers.QUESTIONS,
    "Dependency injection": of_containers.QUESTIONS,
}
QUESTIONS = tuple(question for group in GROUPS.values() for question in group)
