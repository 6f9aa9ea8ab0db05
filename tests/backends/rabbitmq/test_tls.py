"""A broker behind TLS: whom the application trusts, as whom it comes, and what nobody is told of it."""

import logging
import socket
import ssl
import threading
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pamqp.frame
import pytest
from pamqp.commands import Connection
from yarl import URL

from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.errors import OutcomeUnknown
from bg_di.testing.contract.handles import accepted, finished, message, opened, working
from tests.backends.rabbitmq.certificates import Authority
from tests.backends.rabbitmq.rabbit import refusal
from tests.backends.rabbitmq.server import HOST, Broker, free_port

PASSWORD = "s3cr3t"
_TLS = """
listeners.ssl.default = {host}:{port}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = {asks}
"""


class Secure:
    """A broker that speaks TLS, too, and has a user of its own."""

    def __init__(self, folder: Path, *, asks: bool) -> None:
        self.authority, self.port = Authority(folder / "ours"), free_port()
        self.stranger = Authority(folder / "somebody else's")
        certificate, key = self.authority.sign("broker")
        self.broker = Broker(
            configuration=_TLS.format(
                host=HOST,
                port=self.port,
                authority=self.authority.file,
                certificate=certificate,
                key=key,
                asks=str(asks).lower(),
            )
        )

    def url(self, **query: Path) -> str:
        address = URL(f"amqps://shop:{PASSWORD}@{HOST}:{self.port}/")
        return str(address.with_query({key: str(path) for key, path in query.items()}))


@pytest.fixture(scope="module", params=[False, True], ids=["any client", "known clients"])
def secure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    secure = Secure(tmp_path_factory.mktemp("certificates"), asks=request.param)
    with secure.broker as broker:
        broker.control("add_user", "shop", PASSWORD)
        broker.control("set_permissions", "shop", ".*", ".*", ".*")
        yield secure


@pytest.fixture
def asks(secure: Secure) -> bool:
    """Whether the broker wants to know its clients."""
    return "fail_if_no_peer_cert = true" in (secure.broker.folder / "rabbitmq.conf").read_text()


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"use_uvloop": False}


async def test_who_trusts_it_and_is_known_is_served(
    secure: Secure, application: str, caplog: pytest.LogCaptureFixture
) -> None:
    """On both connections; with a list of addresses, too. Nobody logs the password."""
    certificate, key = secure.authority.sign("client")
    address = secure.url(cafile=secure.authority.file, certfile=certificate, keyfile=key)
    with caplog.at_level(logging.DEBUG):
        async with opened(RabbitBackend([f"amqps://shop:{PASSWORD}@{HOST}:1/", address]), application) as engine:
            accepted(await engine.accept([message()]))
            async with working(engine) as consumer:
                assert len(await finished(consumer, 1)) == 1
    assert caplog.records
    assert PASSWORD not in caplog.text


async def test_who_shows_no_certificate_is_served_unless_it_has_to(
    secure: Secure, asks: bool, application: str
) -> None:
    """Then it is told so, in words without a password."""
    async with opened(RabbitBackend(secure.url(cafile=secure.authority.file)), application) as engine:
        if asks:
            await assert_refused(engine, secure)
        else:
            accepted(await engine.accept([message()]))


@pytest.mark.parametrize("why", ["it is not trusted", "it does not trust"])
async def test_a_stranger_is_refused(
    why: str, secure: Secure, application: str, caplog: pytest.LogCaptureFixture
) -> None:
    """On either side; the address is named, and the password is not, whoever logs how much."""
    certificate, key = (secure.stranger if why == "it does not trust" else secure.authority).sign("stranger")
    authority = secure.stranger if why == "it is not trusted" else secure.authority
    address = secure.url(cafile=authority.file, certfile=certificate, keyfile=key)
    with caplog.at_level(logging.DEBUG):
        async with opened(RabbitBackend(address), application) as engine:
            await assert_refused(engine, secure)
    assert PASSWORD not in caplog.text


async def assert_refused(engine: object, secure: Secure) -> None:
    refused = await refusal(engine, message())  # type: ignore[arg-type]
    assert not isinstance(refused, OutcomeUnknown)
    assert f"RabbitMQ at {HOST}:{secure.port} cannot be reached: " in str(refused)
    assert PASSWORD not in "".join(traceback.format_exception(refused)) + repr(refused)


@contextmanager
def hanging_up(authority: Authority) -> Generator[int]:
    """The port of something that greets and hangs up in one breath, as what is before a broker may do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("hanging up"))
    greeting = pamqp.frame.marshal(Connection.Start(server_properties={}), 0)

    def serve() -> None:
        with suppress(OSError):  # it has been closed
            while True:
                link, _ = listening.accept()
                with link, context.wrap_socket(link, server_side=True) as secured:
                    secured.recv(8)
                    secured.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
                    secured.sendall(greeting)
                    secured.settimeout(0.01)
                    with suppress(OSError):  # nobody answers
                        secured.unwrap()

    with socket.create_server((HOST, 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


async def test_what_greets_and_hangs_up_cannot_be_reached(tmp_path: Path, application: str) -> None:
    """The client has an error of its own for that, which is to end no worker's tries to come back."""
    authority = Authority(tmp_path / "ours")
    with hanging_up(authority) as port:
        address = f"amqps://{HOST}:{port}/?cafile={authority.file}"
        async with opened(RabbitBackend(address), application) as engine:
            assert "has hung up" in str(await refusal(engine, message()))
