"""Promise 12 of what travels: it comes back equal and of the same types, or is refused where it is added."""

import asyncio
import io
import sqlite3
import traceback
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from functools import cached_property, partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    Tag,
    TypeAdapter,
    field_serializer,
)
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask
from starlette.requests import Request
from typing_extensions import TypedDict

from bg_di import BackgroundTasks, background_task
from bg_di.wire import CallFormat
from bg_di.wire.difference import difference
from bg_di.wire.text import from_json, to_json

SECRET = "hunter2-never-shown"


class Color(Enum):
    RED = "red"
    PAIR = (1, b"\xff")


class Size(IntEnum):
    SMALL = 1


class Kind(StrEnum):
    CAT = "cat"
    DOG = "dog"


@dataclass(frozen=True)
class Point:
    x: int
    y: Decimal = Decimal("1.50")


@dataclass(slots=True)
class Line:
    ends: tuple[Point, ...]
    label: bytes | None = None


@dataclass
class Circle:
    radius: float
    area: float = field(init=False)

    def __post_init__(self) -> None:
        self.area = self.radius * 2

    @cached_property
    def twice(self) -> float:
        return self.radius * 2


class Place(NamedTuple):
    name: str
    at: Point


class Options(TypedDict, total=False):
    when: datetime
    tags: set[str]


class Address(BaseModel):
    street: str = Field(alias="Strasse")
    key: bytes = b""
    password: SecretStr | None = None


class User(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    id: UUID = Field(default_factory=uuid4)
    address: Address
    others: list[Address] = []
    by_day: dict[date, Decimal] = {}
    nickname: str | None = None
    hidden: int = Field(default=1, exclude=True)
    born: datetime | None = None

    @field_serializer("born")
    def _year(self, born: datetime | None) -> str:
        return str(born and born.year)


class Swapped(BaseModel):
    """Each field goes by the other's name among those who write it as JSON."""

    a: int = Field(alias="b")
    b: int = Field(alias="a")


class Crowd(BaseModel, extra="allow"):
    __pydantic_extra__: dict[str, Address] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]


class Names(RootModel[list[SecretStr]]): ...


class Cat(BaseModel):
    kind: Literal[Kind.CAT] = Kind.CAT
    lives: int


class Dog(BaseModel):
    kind: Literal[Kind.DOG] = Kind.DOG


class Tree(BaseModel):
    children: "list[Tree]" = []


class Hashable(BaseModel, frozen=True):
    x: int


class Celsius:
    """A type of the user's, which tells pydantic how it is written."""

    def __init__(self, degrees: float) -> None:
        self.degrees = degrees

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Celsius) and other.degrees == self.degrees

    __hash__ = None  # type: ignore[assignment]


class Token(SecretBytes): ...


class Word(SecretStr): ...


Recent = Annotated[deque[int], AfterValidator(lambda items: deque(items, maxlen=3))]
Temperature = Annotated[Celsius, PlainValidator(Celsius), PlainSerializer(lambda celsius: celsius.degrees)]
Stubborn = Annotated[Celsius, PlainValidator(Celsius), PlainSerializer(lambda celsius: {}[SECRET])]
T = TypeVar("T")
LOOP = asyncio.new_event_loop()
LOOP.close()
ROME = ZoneInfo("Europe/Rome")


def sends(annotation: Any) -> CallFormat:
    """A task with one parameter of that annotation."""

    async def task(value: Any) -> None: ...

    task.__annotations__["value"] = annotation
    return CallFormat(background_task(name="shop:task")(task))


def there_and_back(format_: CallFormat, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What arrives, by way of bytes."""
    return format_.decode(from_json(to_json(format_.encode(args, kwargs)), 2**20))


def refusal(format_: CallFormat, *args: Any, **kwargs: Any) -> str:
    """Why a call may not travel; it is named, and its content is not."""
    with pytest.raises(TypeError) as refused:
        format_.encode(args, kwargs)
    error: BaseException | None = refused.value
    while error is not None:  # what is not shown in a traceback is still at hand
        assert SECRET not in "".join(traceback.format_exception(error, chain=False))
        error = error.__context__
    return str(refused.value)


def user(**more: Any) -> User:
    return User(address=Address(Strasse="a", key=b"\xff\x00", password=SecretStr(SECRET)), **more)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, datetime(2024, 1, 2, 3, 4, 5, 6)),
        (datetime, datetime(2024, 1, 2, tzinfo=UTC)),
        (datetime, datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=2, seconds=1)))),
        (datetime, datetime(2024, 10, 27, 2, 30, tzinfo=ROME, fold=1)),
        (datetime, TypeAdapter(datetime).validate_json('"2024-01-02T03:04:05+02:00"')),
        (date, date(1, 1, 1)),
        (time, time(1, 2, 3, tzinfo=UTC)),
        (time, time(1, 2, 3, fold=1, tzinfo=ROME)),
        (timedelta, timedelta(days=-3, microseconds=1)),
        (UUID, uuid4()),
        (Decimal, Decimal("1.500")),
        (Decimal, Decimal("1" * 6144)),
        (Decimal, Decimal("1e-6144")),
        (bytes, b"\xff\x00"),
        (int, 10**9000),
        (int, -(2**300)),
        (float, -0.1),
        (bool, True),
        (None, None),
        (str, "\x00 ü 🎉"),
        (Color, Color.PAIR),
        (Size, Size.SMALL),
        (Color | str, "red"),
        (Color | str, Color.RED),
        (Annotated[Literal[Color.RED], Tag("color")] | Annotated[str, Tag("text")], Color.RED),
        (Literal[Kind.CAT, "dog", 3, None], Kind.CAT),
        (Literal[Kind.CAT, "dog", 3, None], "dog"),
        (set[int], {1, 2}),
        (frozenset[tuple[int, ...]], frozenset({(1,), (2, 3)})),
        (set[Hashable], {Hashable(x=1)}),
        (frozenset[Point], frozenset({Point(1)})),
        (tuple[int, bytes], (1, b"\xff")),
        (Sequence[int], (1, 2)),
        (list[Any], [(1, UUID(int=3))]),
        (dict[int, str], {1: "a"}),
        (dict[tuple[int, Color], set[str]], {(1, Color.RED): {"a"}}),
        (dict[str, str], {"$uuid": "no tag"}),
        (dict[str, Any], {"$dict": [["$tuple", []]], "$b": {"$b": b"\xff"}}),
        (dict[str, Any], {"": None}),
        (OrderedDict[str, int], OrderedDict(a=1)),
        (defaultdict[str, int], defaultdict(int, a=1)),
        (deque[datetime], deque([datetime(2024, 1, 1)])),
        (Recent, deque([1], maxlen=3)),
        (int | str, "1"),
        (int | str, 1),
        (datetime | str, "2024-01-01T00:00:00"),
        (datetime | str, datetime(2024, 1, 1)),
        (bytes | str | None, b"ab"),
        (SecretStr | str, SecretStr(SECRET)),
        (SecretBytes, SecretBytes(b"\xff")),
        (Token, Token(b"\xff")),
        (Word, Word(SECRET)),
        (Secret[datetime], Secret[datetime](datetime(2024, 1, 1))),
        (Point, Point(1)),
        (Line, Line((Point(1), Point(2, Decimal(3))), b"\xff")),
        (Circle, Circle(1.5)),
        (Place, Place("a", Point(1))),
        (Options, {"when": datetime(2024, 1, 1), "tags": {"a"}}),
        (User, user()),
        (User, user(id=uuid4(), by_day={date(2024, 1, 1): Decimal("1.10")}, hidden=2, born=datetime(2024, 1, 2))),
        (User, user(extra=(1, b"\xff"), others=[Address(Strasse="b")])),
        (list[User] | None, [user(nickname=None)]),
        (Swapped, Swapped(a=1, b=2)),
        (Names, Names([SecretStr(SECRET)])),
        (Annotated[Cat | Dog, Field(discriminator="kind")], Cat(lives=9)),
        (Tree, Tree(children=[Tree(), Tree(children=[])])),
        (Path, Path("/a/b")),
        (IPv4Address, IPv4Address("127.0.0.1")),
        (Temperature, Celsius(3.5)),
        (list[Temperature], [Celsius(3.5)]),
        (complex, 1j),
        (T, 3),
        ("Annotated[Color, 1]", Color.RED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_travels_comes_back_as_it_was(annotation: Any, value: Any) -> None:
    """Equal, and of the same types, wherever it stands."""
    for around, inside in ((annotation, value), (list[annotation], [value]), (dict[str, annotation], {"$a": value})):
        if isinstance(annotation, str) and around is not annotation:
            continue
        [back], _ = there_and_back(sends(around), inside)
        assert difference(inside, back) is None
        assert type(back) is type(inside)


def test_a_model_still_knows_what_was_not_set() -> None:
    """A partial update of what the client sent stays one, however deep it stands."""
    users = ([user()], {"a": user()}, Names([]), Line(()), Crowd.model_validate({"b": Address(Strasse="b")}))
    [back], _ = there_and_back(sends(tuple[list[User], dict[str, User], Names, Line, Crowd]), users)
    assert back[0][0].model_dump(exclude_unset=True).keys() == {"address"}
    assert back[1]["a"].address.model_fields_set == {"street", "key", "password"}
    assert back[4].b.model_fields_set == {"street"}


@pytest.mark.parametrize("value", [None, True, 3, 1.5, "a", [1, [None]], {"a": {"$uuid": "b"}}], ids=str)
def test_without_an_annotation_json_travels(value: Any) -> None:
    """And nothing else, as nothing says what it is."""
    for annotation in (Any, object):
        assert there_and_back(sends(annotation), value) == ((value,), {})


@pytest.mark.parametrize(
    "value",
    [(1,), [(1,)], {"a": {1}}, {1: "a"}, datetime(2024, 1, 1), b"", Kind.CAT, SecretStr(SECRET), user()],
    ids=type,
)
def test_without_an_annotation_nothing_else_travels(value: Any) -> None:
    """The remedy is an annotation."""
    said = refusal(sends(Any), value)
    assert (
        "without an annotation nothing but JSON's own types does; annotate the parameter with exactly what is passed"
        in said
    )


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def shared() -> list[Any]:
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    return value


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (Any, io.BytesIO(SECRET.encode()), "holds a '_io.BytesIO', which cannot leave the process; pass its content"),
        (io.StringIO, io.StringIO(SECRET), "pass its content as bytes, or where it is kept"),
        (Session, Session(), "let the task ask the container for a session"),
        (Any, sqlite3.connect(":memory:"), "let the task ask the container for a session"),
        (Any, lambda: SECRET, "pass the data that it would use"),
        (Callable[[], str], SECRET.upper, "pass the data that it would use"),
        (Any, partial(print, SECRET), "pass the data that it would use"),
        (Any, [user], "holds a 'function', which cannot leave the process"),
        (type, str, "pass the data that it would use"),
        (BackgroundTasks, BackgroundTasks(), "let the task ask the container for it"),
        (Any, BackgroundTask(coroutine), "add it by itself"),
        (Any, Request({"type": "http", "path": SECRET, "headers": []}), "pass what the task needs of it"),
        (list[int], (each for each in [SECRET]), "pass a list of what it yields"),
        (Any, asyncio.Future(loop=LOOP), "await it and pass its result"),
        (Stubborn, Celsius(1), "Celsius', which cannot leave the process; pass the data that it is made of"),
        (Any, object(), "pass the data that it is made of"),
        (bytes, bytearray(b"\xff"), "'bytearray'"),
        (float, float("nan"), "a float that is not finite"),
        (list[float], [float("inf")], "a float that is not finite"),
        (Decimal, Decimal("NaN"), "a Decimal that is not finite"),
        (Decimal, Decimal("1e6145"), "more than 6144 digits or zeros"),
        (Decimal, Decimal("1" * 6145), "more than 6144 digits or zeros"),
        (str, SECRET + "\ud800", "a str with surrogates"),
        (dict[str, int], {SECRET + "\ud800": 1}, "a str with surrogates"),
        (Any, cyclic(), "holds itself"),
        (Any, shared(), "larger than the 262144 bytes of max_message_bytes"),
        (str, SECRET * 30_000, "larger than the 262144 bytes of max_message_bytes"),
        (bytes, b"\xff" * 262_000, "its arguments are larger than the 262144 bytes"),
        (int, SECRET, "it does not fit its annotation (int_parsing)"),
        (int, "5", "a 'str' would come back as a 'int'"),
        (float, 2**53 + 1, "a 'int' would come back as a 'float'"),
        (list[int], [True], "a 'bool' would come back as a 'int'"),
        (list[tuple[int, ...]], [[1]], "a 'list' would come back as a 'tuple'"),
        (Iterable[int], [1], "a 'list' would come back"),
        (dict[int, str], {True: "a"}, "a 'bool' would come back as a 'int'"),
        (tuple[int], (True,), "a 'bool' would come back as a 'int'"),
        (deque[int], deque([True]), "a 'bool' would come back as a 'int'"),
        (set[int], {True}, "a 'bool' would come back as a 'int'"),
        (frozenset[int], frozenset({True}), "a 'bool' would come back as a 'int'"),
        (Secret[int], Secret[int](True), "a 'bool' would come back as a 'int'"),
        (SecretStr, SecretStr(Kind.CAT), "would come back as a 'str'"),
        (list[Hashable], [Point(1)], "would come back as a"),
        (dict[str, Any], {"a": Point(1)}, "Point' would come back as a 'dict'"),
        (dict[str, Any], {"a": user()}, "User' would come back as a 'dict'"),
        (Hashable | Tree, Place("a", Point(1)), "it does not fit its annotation (model_type)"),
        ("Nowhere", 3, "is annotated with what cannot travel or be read at run time: name 'Nowhere' is not defined"),
        ("Path.nowhere", 3, "is annotated with what cannot travel or be read at run time"),
        ("int[str]", 3, "is annotated with what cannot travel or be read at run time"),
        ("1 +", 3, "is annotated with what cannot travel or be read at run time"),
        (Session, 3, "is annotated with what cannot travel or be read at run time"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_what_cannot_travel_is_refused(annotation: Any, value: Any, said: str) -> None:
    """Naming the task, the argument, its type and the remedy, never its content."""
    text = refusal(sends(annotation), value)
    assert text.startswith("add_task() cannot send shop:task: ")
    assert said in text
    if "its arguments are" not in said:
        assert "the argument 'value', a '" in text


@pytest.mark.parametrize(
    "driver", ["sqlalchemy", "sqlite3", "aiosqlite", "asyncpg", "psycopg", "psycopg2", "pymongo", "redis"]
)
def test_what_belongs_to_a_database_is_known_by_its_driver(driver: str) -> None:
    """Also a subclass of it."""
    connection = type("Connection", (), {"__module__": f"{driver}.connection"})
    assert "let the task ask the container for a session" in refusal(sends(Any), type("Own", (connection,), {})())


def test_an_int_may_be_given_where_a_float_is_annotated() -> None:
    """To type checkers it is one; it comes back as the float that it equals."""
    travels = sends(float)
    [back], _ = travels.decode(travels.encode((5,), {}))
    assert (type(back), back) == (float, 5.0)
