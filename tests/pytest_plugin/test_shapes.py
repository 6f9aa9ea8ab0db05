"""The fixture serves tests of any shape, in whatever way they ask for it."""

import pytest
from starlette.testclient import TestClient

from bg_di import BackgroundTasksMonitor
from tests.pytest_plugin import shop
from tests.pytest_plugin.conftest import Run

SEEN = ["*failed, and nobody looked at it*"]


def test_who_asks_without_an_argument(run: Run) -> None:
    """By a mark, by another fixture, for all tests of a file, or in the middle of the test."""
    result = run("""
@pytest.mark.usefixtures("background_tasks")
def test_mark(client):
    client.post("/accounts/?address=busy")

@pytest.fixture
def signed_up(client, background_tasks):
    client.post("/accounts/?address=busy")
    return background_tasks

def test_fixture(signed_up): ...

def test_looked_at(signed_up):
    signed_up.assert_failed(Mailer.send_welcome, OSError)

def test_middle(client, request):
    request.getfixturevalue("background_tasks")
    client.post("/accounts/?address=busy")
""")
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(SEEN * 3)


def test_who_marks_a_test_asks_for_it(run: Run) -> None:
    """What is to be held is held."""
    result = run("""
@pytest.mark.background_tasks(mode="hold")
def test_held(client):
    client.post("/accounts/?address=ada")

@pytest.mark.background_tasks(mode="hold")
@pytest.mark.parametrize("number", [1, 2])
def test_nothing(number): ...
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*never run (drain):", "*welcome('ada'): held"])


def test_classes(run: Run) -> None:
    """A mark of the class counts for its tests, and one of a test before it."""
    result = run("""
@pytest.mark.background_tasks("hold", [Mailer.send_welcome])
class TestShop:
    def test_held(self, client, background_tasks):
        client.post("/accounts/?address=ada")
        client.post("/accounts/audited?what=it")
        assert shop.done == ["audit of it", "audit of the audit"]
        anyio.run(background_tasks.drain)
        background_tasks.assert_ran(Mailer.send_welcome)

    @pytest.mark.background_tasks
    def test_run(self, client, background_tasks):
        client.post("/accounts/?address=ada")
        background_tasks.assert_ran(Mailer.send_welcome)
""")
    result.assert_outcomes(passed=2)


def test_classes_of_unittest(run: Run) -> None:
    """Which get it by a fixture of their own; what fails there fails for its own reason."""
    result = run("""
import unittest

class Shop(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _tasks(self, client, background_tasks):
        self.client, self.tasks = client, background_tasks

    def test_seen(self):
        self.client.post("/accounts/?address=busy")
        self.tasks.assert_failed(Mailer.send_welcome, OSError)

    def test_unseen(self):
        self.client.post("/accounts/?address=busy")

    def test_own(self):
        self.client.post("/accounts/?address=busy")
        self.assertEqual(1, 2)

@pytest.mark.usefixtures("background_tasks")
class Later(unittest.IsolatedAsyncioTestCase):
    async def test_unseen_later(self):
        with TestClient(shop.build("tasks.db")) as client:
            client.post("/accounts/?address=busy")
""")
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines_random(["*AssertionError: 1 != 2*", "*_ Later.test_unseen_later _*", *SEEN])


def test_coroutines(run: Run) -> None:
    """On any event loop."""
    result = run("""
pytestmark = pytest.mark.anyio

async def test_unseen(client, background_tasks):
    client.post("/accounts/?address=busy")

async def test_held(client, background_tasks):
    with background_tasks.held():
        client.post("/accounts/?address=ada")
    await background_tasks.drain()
    background_tasks.assert_ran(Mailer.send_welcome)
""")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*_ test_unseen[[]asyncio[]] _*", *SEEN, "*_ test_unseen[[]trio[]] _*", *SEEN])


def test_what_ends_within_a_block(run: Run) -> None:
    """A test that fails or is skipped there says so, and the next one holds nothing and is refused nothing."""
    result = run("""
def test_fails(client, background_tasks):
    with background_tasks.held(), background_tasks.refusing(), background_tasks.collect():
        client.post("/accounts/?address=ada")
        assert 1 == 2

def test_skipped(client, background_tasks):
    with background_tasks.held():
        client.post("/accounts/?address=ada")
        pytest.skip("enough")

@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_expected(client, background_tasks):
    with background_tasks.held():
        client.post("/accounts/?address=ada")
        assert 1 == 2

def test_next(client, background_tasks):
    client.post("/accounts/?address=ada")
    client.post("/accounts/billed?number=7")
    background_tasks.assert_ran(Mailer.send_welcome)
    background_tasks.assert_ran(background_tasks.assert_accepted(bill))
""")
    result.assert_outcomes(passed=1, failed=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["E*assert 1 == 2"])
    result.stdout.no_fnmatch_line("*never run*")


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_each_test_knows_its_own_tasks(run: Run, options: tuple[str, ...]) -> None:
    """Also where several processes run tests, with pytest-xdist."""
    result = run(
        """
@pytest.mark.parametrize("number", range(8))
def test_one(client, background_tasks, number):
    client.post(f"/accounts/?address={number}")
    client.post(f"/accounts/billed?number={number}")
    background_tasks.assert_ran(background_tasks.one(Mailer.send_welcome, str(number)))
    assert background_tasks.assert_ran(bill).args == (number,)

def test_unseen(client, background_tasks):
    client.post("/accounts/?address=busy")
""",
        *options,
    )
    result.assert_outcomes(passed=8, failed=1)
    result.stdout.fnmatch_lines(SEEN)


_ORDERS = """
@pytest.fixture
def started():
    with TestClient(shop.build({path!r})) as started:
        yield started

@pytest.fixture(autouse=True)
def early(request):
    if "early" in request.node.name:
        request.getfixturevalue("started")

def test_last(started, background_tasks):
    started.post("/accounts/billed?number=2")
    background_tasks.assert_ran(bill)

def test_first(background_tasks, started):
    test_last(started, background_tasks)

def test_early(background_tasks, started):
    test_last(started, background_tasks)

@pytest.mark.background_tasks(mode="run")
def test_marked(started):
    started.post("/accounts/billed?number=2")

@pytest.mark.usefixtures("background_tasks")
class TestUsed:
    def test_used(self, started):
        started.post("/accounts/billed?number=2")
"""


def test_what_waits_on_an_engine_is_nothing_of_a_test(run: Run, path: str) -> None:
    """An application that a fixture of the test starts has no worker there, wherever the test names the fixture."""
    app = shop.build(path)
    TestClient(app).post("/accounts/billed?number=1")
    run(_ORDERS.format(path=path)).assert_outcomes(passed=5)
    assert app.injector.get(BackgroundTasksMonitor).counts()["durable"].waiting == 1


def test_an_engine_need_not_be_there(run: Run) -> None:
    """Nobody reaches for it."""
    run(_ORDERS.format(path="/nowhere/tasks.db")).assert_outcomes(passed=5)


def test_what_perform_runs_in_does_not_depend_on_other_tests(run: Run) -> None:
    """What other tests have built for themselves is left out, however long it is there; what they share is not."""
    body = """
pytestmark = pytest.mark.anyio
kept = []
if IMPORTED:
    kept.append(shop.build("imported.db"))

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture(scope="module")
def app():
    return shop.build("shared.db")

@pytest.fixture
def own():
    kept.append(shop.build("own.db"))

async def test_shared_first(request, background_tasks):
    request.getfixturevalue("own"), request.getfixturevalue("app")
    await background_tasks.perform(audit, "its own")

async def test_shared(app, background_tasks):
    await background_tasks.perform(audit, "the shared one")
    await background_tasks.perform(audit, "the one that it has used")

async def test_own(app, own, background_tasks):
    await background_tasks.perform(audit, "its own")

def test_without_the_fixture():
    kept.append(shop.build("left.db"))

async def test_left(background_tasks):
    with pytest.raises(LookupError, match="that tests share, if a test has none of its own, and there are 2: build"):
        await background_tasks.perform(audit, "none")
"""
    run(body.replace("IMPORTED", "False"), "-k", "not left").assert_outcomes(passed=4, deselected=1)
    run(body.replace("IMPORTED", "False"), "-k", "test_shared or test_own").assert_outcomes(passed=3, deselected=2)
    run(body.replace("IMPORTED", "False"), "-k", "test_own").assert_outcomes(passed=1, deselected=4)
    run(body.replace("IMPORTED", "True"), "-k", "own or without or left").assert_outcomes(passed=3, deselected=2)
