"""What can be said of a broker, and what is refused where it is said."""

import importlib
import sys
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest

from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.errors import InvalidOptions

URL = "amqp://shop:s3cr3t@broker/vhost"


@pytest.mark.parametrize("heartbeat", [3, 4, 10, 60, 65_534])
def test_the_client_gives_a_connection_up_within_three_heartbeats(heartbeat: int) -> None:
    """It waits for three of those that it is told, and a second more for each, and looks twice in one."""
    told = RabbitBackend(URL, heartbeat=heartbeat).open("shop")._dial._heartbeat
    assert told >= 1  # with none it would wait for ever
    assert 3 * (told + 1) + max(1, told // 2) + 1 <= 3 * heartbeat


def test_a_url_is_all_that_has_to_be_said() -> None:
    """The rest is what the documentation says."""
    backend = RabbitBackend(URL)
    assert (backend.concurrency, backend.embedded, backend.max_deliveries) == (10, True, 5)
    assert (backend.max_message_bytes, backend.unknown_after) == (256 * 1024, 3600)
    assert (backend.heartbeat, backend.publish_timeout) == (10, 4)
    assert backend.consumer_timeout == backend.longest == 1800
    assert backend.capabilities == {"delay", "dead", "counts"}
    assert not backend.runs_here


def test_it_is_a_record() -> None:
    """Equal to another one of the same, and never changed, nor by what it was given."""
    urls = [URL, "amqps://shop:s3cr3t@other:5671"]
    backend: Any = RabbitBackend(urls, heartbeat=5)
    assert backend == RabbitBackend(tuple(urls), heartbeat=5) != RabbitBackend(urls)
    with pytest.raises(FrozenInstanceError):
        backend.heartbeat = 10
    urls.clear()
    assert len(backend.url) == 2


def test_nobody_is_shown_a_password() -> None:
    """Nor the rest of the URL, by what shows options."""
    assert "s3cr3t" not in repr(RabbitBackend(URL))
    assert "s3cr3t" not in repr(RabbitBackend([URL]))


def test_durations_are_seconds_or_timedeltas() -> None:
    """And mean the same."""
    hour = timedelta(hours=1)
    terms = RabbitBackend(URL, unknown_after=hour, publish_timeout=timedelta(seconds=1)).open("shop")._terms
    assert (terms.unknown_after, terms.publish_timeout) == (3600, 1)


def test_a_broker_that_takes_nothing_back_bounds_no_timeout() -> None:
    """Its `consumer_timeout` can be switched off."""
    assert RabbitBackend(URL, consumer_timeout=None).longest is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concurrency": 0}, r"RabbitBackend\(concurrency=0\): give a number of at least 1"),
        ({"concurrency": 70_000}, r"RabbitBackend\(concurrency=70000\): give a number of at most 65535"),
        ({"max_deliveries": True}, r"RabbitBackend\(max_deliveries=True\): give a number of at least 1"),
        ({"max_deliveries": 101}, r"RabbitBackend\(max_deliveries=101\): give a number of at most 100"),
        ({"max_message_bytes": 1.5}, r"RabbitBackend\(max_message_bytes=1\.5\): give a number of at least 1"),
        ({"embedded": "yes"}, r"RabbitBackend\(embedded='yes'\): give True or False"),
        ({"heartbeat": 0.5}, r"RabbitBackend\(heartbeat=0\.5\): give a number of at least 1"),
        ({"heartbeat": 2}, r"RabbitBackend\(heartbeat=2\): give at least 3 seconds"),
        ({"consumer_timeout": 0}, r"RabbitBackend\(consumer_timeout=0\): give seconds.* above zero"),
        ({"unknown_after": -1}, r"RabbitBackend\(unknown_after=-1\): give seconds.* not negative"),
        ({"publish_timeout": 0}, r"RabbitBackend\(publish_timeout=0\): give seconds.* above zero"),
    ],
)
def test_a_wrong_value_is_named(options: dict[str, Any], said: str) -> None:
    """With what to give instead."""
    with pytest.raises(InvalidOptions, match=said):
        RabbitBackend(URL, **options)


@pytest.mark.parametrize(
    "url", [None, "", [], 5, [5], "http://s3cr3t@broker", "amqp://", ["amqp://broker", "s3cr3t"], "amqp://s3cr3t@h:x"]
)
def test_what_is_no_url_of_a_broker_is_refused(url: Any) -> None:
    """It is not repeated: it may have a password."""
    with pytest.raises(InvalidOptions, match=r"RabbitBackend\(url=…\): ") as refused:
        RabbitBackend(url)
    assert "s3cr3t" not in str(refused.value)


def test_an_application_whose_name_no_queue_can_have_is_refused() -> None:
    """It is counted in bytes."""
    RabbitBackend(URL).open("x" * 200)
    with pytest.raises(InvalidOptions, match="is too long for a queue of RabbitMQ: give at most 200 bytes"):
        RabbitBackend(URL).open("ä" * 101)


def test_aio_pika_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it, and what else there is can be used."""
    monkeypatch.setitem(sys.modules, "aio_pika", None)
    monkeypatch.delitem(sys.modules, "bg_di.backends.rabbitmq")
    with pytest.raises(ImportError, match=r"pip install 'bg_di\[rabbitmq\]'"):
        importlib.import_module("bg_di.backends.rabbitmq")
