"""What a test did not look at fails it, and what fails shows what there was."""

import pytest

from tests.pytest_plugin.conftest import Run


def test_a_failed_task_that_nobody_looked_at_fails_its_test(run: Run) -> None:
    """As a failure of the test, and not as an error after it; to read its state, its error or its reason is to look."""
    result = run("""
def test_unseen(client, background_tasks):
    client.post("/accounts/?address=busy")
    background_tasks.one(Mailer.send_welcome)

def test_state(client, background_tasks):
    client.post("/accounts/?address=busy")
    assert background_tasks.one(Mailer.send_welcome).state == "failed"

def test_allowed(client, background_tasks):
    background_tasks.allow_failures(OSError)
    client.post("/accounts/?address=busy")

def test_all_allowed(client, background_tasks):
    background_tasks.allow_failures()
    client.post("/accounts/?address=busy")

def test_another_allowed(client, background_tasks):
    background_tasks.allow_failures(ValueError)
    client.post("/accounts/?address=busy")

def test_without_the_fixture(client):
    client.post("/accounts/audited?what=")
""")
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*failed, and nobody looked at it (assert_failed, allow_failures):",
            "*welcome('busy'): failed, OSError('451 try again later')",
        ]
    )
    result.stdout.no_fnmatch_line("*another exception occurred*")


def test_a_held_task_that_was_never_run_fails_its_test(run: Run) -> None:
    """In the process, and on an engine; what is delayed beyond the test is not left."""
    result = run("""
pytestmark = pytest.mark.background_tasks(mode="hold")

def test_left(client, background_tasks):
    client.post("/accounts/?address=ada")

def test_left_on_an_engine(client, background_tasks):
    client.post("/accounts/billed?number=7")

def test_delayed(client, background_tasks):
    client.post("/accounts/reminded?address=ada")

def test_due_by_the_clock(client, background_tasks):
    client.post("/accounts/reminded?address=ada")
    background_tasks.clock.advance(3600)
""")
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(["*held or due, and never run (drain):", "*welcome('ada'): held"])


def test_a_failing_test_fails_for_its_own_reason(run: Run) -> None:
    """What is left of its tasks says nothing then."""
    result = run("""
def test_own(client, background_tasks):
    client.post("/accounts/?address=busy")
    assert 1 == 2
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*assert 1 == 2"])
    result.stdout.no_fnmatch_line("*nobody looked at it*")


def test_what_fails_shows_what_there_was_and_the_nearest(run: Run) -> None:
    """Expected, found, and what is other about the nearest."""
    result = run("""
def test_one(client, background_tasks):
    client.post("/accounts/?address=ada")
    client.post("/accounts/audited?what=it")
    background_tasks.one(Mailer.send_welcome, "grace")

def test_nothing(client, background_tasks):
    background_tasks.one(Mailer.send_welcome)

def test_ran(client, background_tasks):
    client.post("/accounts/?address=busy")
    background_tasks.assert_ran(Mailer.send_welcome)

def test_failed(client, background_tasks):
    client.post("/accounts/?address=busy")
    background_tasks.assert_failed(Mailer.send_welcome, (ValueError, KeyError))

def test_skipped(client, background_tasks):
    client.post("/accounts/audited?what=")
    background_tasks.assert_skipped(background_tasks.one(audit, "the audit"), reason="a full moon")

def test_not_skipped(client, background_tasks):
    client.post("/accounts/?address=ada")
    background_tasks.assert_skipped(Mailer.send_welcome)

def test_accepted(client, background_tasks):
    client.post("/accounts/?address=ada")
    background_tasks.assert_accepted(Mailer.send_welcome)

def test_not_added(client, background_tasks):
    client.post("/accounts/?address=ada")
    background_tasks.assert_not_added(Mailer.send_welcome, subject="welcome")

def test_none(client, background_tasks):
    client.post("/accounts/?address=ada")
    background_tasks.assert_none()
""")
    result.assert_outcomes(failed=9)
    shop = "tests.pytest_plugin.shop"
    result.stdout.fnmatch_lines_random(
        [
            "E*expected one welcome('grace'), found 0; added:",
            "E*welcome('ada'): succeeded  <- the nearest: address is 'ada'",
            f"E*{shop}:audit('it'): succeeded",
            "E*expected one welcome, found 0; nothing was added",
            "E*expected that it has run: welcome('busy'): failed, OSError('451 try again later')",
            "E*expected that it has failed with ValueError or KeyError: welcome('busy'): failed, OSError*",
            "E*expected that it was not run because of 'a full moon': *audit('the audit'): skipped, *failed before it*",
            "E*expected that it was not run: welcome('ada'): succeeded",
            "E*expected that an engine has accepted it: welcome('ada'): succeeded",
            "E*welcome(subject='welcome') was added; added:",
            "E*expected no background task; added:",
        ]
    )


def test_nothing_can_be_added_without_the_module(run: Run) -> None:
    """Where Ellar's own collection takes the tasks, say."""
    result = run("""
def test_nowhere(background_tasks):
    background_tasks.one(bill)

def test_none_here(client, background_tasks):
    background_tasks.one(remind)
""")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "E*expected one bill, found 0; nothing was added: no application here has BackgroundTasksModule*",
            "E*expected one remind, found 0; nothing was added",
        ]
    )


def test_a_wrong_marker_is_refused(run: Run) -> None:
    """With what it may say."""
    result = run("""
@pytest.mark.background_tasks(mode="keep")
def test_mode(background_tasks): ...

@pytest.mark.background_tasks(only=[audit])
def test_only(background_tasks): ...

@pytest.mark.background_tasks(mood="hold")
def test_mood(background_tasks): ...

@pytest.mark.background_tasks(mode="hold", only=["audit"])
def test_function(background_tasks): ...
""")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines_random(
        [
            "*mode='keep'*give 'run' or 'hold'*",
            "*only=...*give mode='hold'*",
            "*only=None): got an unexpected keyword argument 'mood'*",
        ]
    )


def test_the_marker_is_announced(run: Run) -> None:
    """Also where markers are strict."""
    run("def test_nothing(): ...", "--strict-markers").assert_outcomes(passed=1)
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.background_tasks(mode='run', only=None)*"])


def test_tests_of_others_are_left_alone(pytester: pytest.Pytester) -> None:
    """The plugin is loaded wherever bg_di is installed: it imports nothing that warns, or takes time."""
    pytester.makepyfile("""
        import sys

        def test_others():
            assert not {"bg_di", "ellar", "starlette"} & sys.modules.keys()
    """)
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1)
