"""A page on which something is wrong does not pass."""

import os
import re
import socket
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.output import is_shown
from tests.pages import PAGES, all_blocks
from tests.reader import Reader, free_ports

SERVER = """\
    ```python title="served.py"
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"here\\n"})
    ```
"""


def read(folder: Path, text: str) -> Reader:
    page = folder / "page.md"
    page.write_text(dedent(text))
    with Reader(page, folder, {}, free_ports(page)) as reader:
        reader.read()
    return reader


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```\nx\n```\n", r"page.md:1 is '', which nobody can check"),
        ("Text.\n\n```rust\nx\n```\n", r"page.md:3 is 'rust', which nobody can check"),
        ("```python\nassert 1 == 2, 'not so'\n```\n", "not so"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", r"shows\n2\n\nand what is printed is\n1"),
        ("```python\n1\n```\n\nIt prints:\n\n```text\n2\n```\n", "shows"),
        ("```text\n2\n```\n", "shows"),
        ("```console\nls\n```\n", "begins with no command"),
        ("```console\n$ false\n```\n", "`false` ends with 1"),
        ("```console\n$ echo one; exit 3\none\n```\n", "ends with 3:\none"),
        ("```console\n$ echo one\ntwo\n```\n", "shows"),
        ("```console\n$ echo one\n```\n", "shows"),
        ('```console title="Terminal 1"\n$ echo 8000\n```\n', "it has ended"),
        ('```python title="app.py"\n1 +\n```\n', "invalid syntax"),
        ('```python title="../app.py"\n1\n```\n', "a file elsewhere"),
        ("```toml\nx = \n```\n", "Invalid value"),
        ("```ini\nx = 1\n```\n", "no section headers"),
        ('```yaml title="x.yaml"\n[1\n```\n', "expected ',' or ']'"),
        ("```yaml\nrun: python -m bg_di wrok shop:app && python -m bg_di worker\n```\n", "MODULE:APP"),
        ('```yaml\nrun: ["python", "-m", "bg_di", "check", "shop:app", "--max-ded", "0"]\n```\n', "max-ded"),
        ("```ini\n[Service]\nExecStart=/x/ellar --project shop background-tasks list shop:app\n```\n", "shop:app"),
        ("```console\n$ make nonsense\n```\n", "no such target"),
        ("```console\n$ pip install 'bg_di[nonsense]'\n```\n", "no such extra"),
        ("```console\n$ pip install '.[nonsense]'\n```\n", "no such extra"),
        ("```console\n$ pip install bg_di nonsense\n```\n", "nonsense is not pinned"),
    ],
)
def test_what_is_wrong_fails(tmp_path: Path, text: str, wrong: str) -> None:
    with pytest.raises(Exception, match=wrong):  # whichever says so: ours, Python's or a parser's
        read(tmp_path, text)


def test_what_is_right_passes(tmp_path: Path) -> None:
    """Files, Python, commands and configuration see what stands above them."""
    read(
        tmp_path,
        """\
        ```text
        Python ──► text
        ```

        ```python title="shop/one.py"
        number = 1
        ```

        ```python
        from shop.one import number

        print(number)
        ```

        ```text
        1
        ```

        ```console
        $ pip install "bg_di[rabbitmq]" pytest
        $ pip install '../bg_di[retry]' pytest
        $ make test
        $ export GREETING=hello
        $ python -c "from shop import one; print(one.number)"; \\
          echo $GREETING
        1
        h...o
        $ python -m bg_di list; echo $?
        usage: ...
        ...
        2
        ```

        ```python title="shop/one.py"
        number = 2
        ```

        ```python
        from shop.one import number

        assert number == 2
        ```

        ```console
        $ python -c "from shop import one; print(one.number)"; echo $GREETING
        2
        hello
        ```

        ```yaml title="compose.yaml"
        command: python -m bg_di worker shop.server:app
        ```
        """,
    )
    assert "page" not in sys.modules
    assert not {"shop", "shop.one"} & sys.modules.keys()
    assert str(tmp_path / "home") not in sys.path


def test_a_server_runs_until_its_terminal_is_used_again_or_the_page_ends(tmp_path: Path) -> None:
    """Under a free port, whatever the page calls it."""
    reader = read(
        tmp_path,
        f"""\
    {SERVER.lstrip()}
    ```console title="Terminal 1"
    $ python -c "import os; print(os.getpid())" > before
    $ uvicorn served:app --lifespan off
    INFO: ... Started server process [...]
    ```

    ```console
    $ curl --silent http://127.0.0.1:8000/
    here
    ```

    ```console title="Terminal 1"
    $ uvicorn served:app --lifespan off --port 8000
    ...
    INFO: ... Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)
    ```

    ```python
    from urllib.request import urlopen

    print(urlopen("http://127.0.0.1:8000/").read())
    ```

    ```text
    b'here\\n'
    ```
    """,
    )
    port = int(reader.environment["UVICORN_PORT"])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_what_a_server_shows_is_compared(tmp_path: Path) -> None:
    terminal = '```console title="Terminal 1"\n$ uvicorn served:app --lifespan off\nINFO: Nothing of the kind\n```\n'
    with pytest.raises(AssertionError, match="shows\nINFO: Nothing"):
        read(tmp_path, dedent(SERVER) + terminal)


def test_what_does_not_listen_is_waited_for_until_it_says_what_is_shown(tmp_path: Path) -> None:
    read(
        tmp_path,
        """\
        ```console title="Terminal 2"
        $ python -uc "import time; open('ready', 'w'); print('ready'); time.sleep(60)"
        ready
        ```

        ```python
        from pathlib import Path

        assert Path("{home}/ready").exists()
        ```
        """.replace("{home}", str(tmp_path / "home")),
    )


def test_a_terminal_goes_on_until_somebody_presses_ctrl_c(tmp_path: Path) -> None:
    """What a server prints later is waited for; each line of it is looked for behind the one before."""
    with pytest.raises(AssertionError, match=r"page.md:14 shows what nobody prints"):
        read(
            tmp_path,
            """\
            ```console title="Terminal 1"
            $ python -c "import time; open('ready', 'w'); print('one\\n2\\nthree'); time.sleep(60)"
            one
            ```

            ```console title="Terminal 1"
            three
            ```

            ```console title="Terminal 1"
            ^C
            ```

            ```console title="Terminal 1"
            three
            ```
            """,
        )


def test_no_server_is_left_behind_by_a_page_that_fails(tmp_path: Path) -> None:
    terminal = '```console title="Terminal 1"\n$ echo $$ > pid; exec uvicorn served:app --lifespan off\n```\n'
    with pytest.raises(AssertionError, match="`false`"):
        read(tmp_path, f"{dedent(SERVER)}{terminal}\n```console\n$ false\n```\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "home/pid").read_text()), 0)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("one\n...\nthree\n", "one\nthree\n", True),
        ("one\n...\nthree\n", "one\ntwo\n2\nthree\n", True),
        ("in ... s", "in 0.3 s\n", True),
        ("in ... s", "in 0.3\n s\n", False),
        ("ID ... STATE", "ID   STATE", True),
        ("one", "one\ntwo\n", False),
        ("(.*)", "one\n", False),
        ("", "\n", True),
    ],
)
def test_three_dots_stand_for_anything(shown: str, printed: str, same: bool) -> None:
    assert is_shown(shown, printed) is same


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_escapes(page: Path) -> None:
    """Each fence of a page belongs to one that is read; there are no others, such as of tildes."""
    fences = re.findall(r"^ *(```|~~~)", page.read_text(), re.MULTILINE)
    assert fences == ["```"] * 2 * len(all_blocks(page))
