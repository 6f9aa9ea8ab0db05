"""Promise 12 of calls: each argument finds its parameter again, and what fits none is refused."""

import random
import traceback
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union
from uuid import UUID
from zoneinfo import ZoneInfo, reset_tzpath

import pytest
from ellar.common import Inject
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, PrivateAttr, SecretBytes, SecretStr, create_model, field_validator
from typing_extensions import TypedDict

from bg_di import INJECTED, background_task
from bg_di.errors import MessageMalformed
from bg_di.wire import CallFormat
from bg_di.wire.difference import difference
from bg_di.wire.text import from_json, to_json
from tests.test_08_dependencies import Clerk
from tests.test_12_wire import ROME, SECRET, Color, Names, Point, User, refusal, sends, there_and_back, user

NONE: set[int] = set()


@background_task(name="shop:many")
async def many(
    first: UUID,
    /,
    second: bytes,
    third: "date | None" = None,
    *rest: Point,
    only: set[int] = NONE,
    **more: Decimal,
) -> None: ...


class Mailer:
    @background_task
    async def send(self, at: datetime, clerk: Inject[Clerk] = INJECTED) -> None: ...

    @background_task
    @classmethod
    async def to_all(cls, at: datetime) -> None: ...

    @background_task
    @staticmethod
    def nobody(at: datetime) -> None: ...


async def undeclared() -> None: ...


MANY = CallFormat(many)
ID, POINT, NOW = UUID(int=1), Point(1), datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((ID, b"\xff"), {}),
        ((ID,), {"second": b"\xff", "third": None}),
        ((ID, b"", date(2024, 1, 1), POINT, POINT), {"only": {1}}),
        ((ID, b""), {"first": Decimal(1), "$uuid": Decimal("2.0")}),
    ],
)
def test_each_kind_of_parameter_travels(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """As it was given, by position or by name; a default that was not given is the worker's."""
    assert there_and_back(MANY, *args, **kwargs) == (args, kwargs)


def test_methods_travel_without_their_object() -> None:
    """Of services, of classes, and static ones."""
    funcs: list[Any] = [Mailer.send, Mailer.to_all, Mailer.nobody]
    for func in funcs:
        format_ = CallFormat(func, {"clerk"} if func is Mailer.send else ())
        assert there_and_back(format_, NOW) == ((NOW,), {})
        assert there_and_back(format_, at=NOW) == ((), {"at": NOW})
        assert format_.name == f"{__name__}:{func.__qualname__}"


def test_what_the_container_fills_does_not_travel() -> None:
    """Whether by position or by name, added here or made up by a message."""
    format_ = CallFormat(Mailer.send, {"clerk"})
    assert "multiple values for argument 'clerk'" in refusal(format_, NOW, SECRET)
    assert "'clerk' is filled by the container where the task runs" in refusal(format_, NOW, clerk=SECRET)
    encoded = format_.encode((NOW,), {})
    with pytest.raises(MessageMalformed, match="the arguments do not fit"):
        format_.decode({"args": encoded["args"], "kwargs": {"clerk": SECRET}})


def test_only_declared_functions_that_are_not_bound_travel() -> None:
    """An object stays in its process."""
    with pytest.raises(TypeError, match=r"undeclared: put @background_task on it"):
        CallFormat(undeclared)
    with pytest.raises(TypeError, match=r"it is bound to an object, which stays here; pass Mailer\.send"):
        CallFormat(Mailer().send)


def test_wrong_arguments_are_refused_with_the_signature() -> None:
    """As they are in process."""
    said = "many(first: uuid.UUID, /, second: bytes, "
    assert said in refusal(MANY, ID)
    assert "missing a required argument: 'second'" in refusal(MANY, ID)


def test_a_name_that_is_no_text_is_refused() -> None:
    """Of what ``**kwargs`` takes."""
    assert r"the argument '\\ud800', a 'decimal.Decimal', has a name that is no text" in refusal(
        MANY, ID, b"", **{"\ud800": Decimal(1)}
    )


def test_a_local_annotation_travels() -> None:
    """Read when it is first needed, with what the function closes over."""

    @background_task
    async def task(value: "Later") -> None:  # type: ignore[valid-type]
        print(Later)

    format_ = CallFormat(task)
    assert "is annotated with what cannot travel or be read at run time" in refusal(format_, 1)
    Later = Point
    assert there_and_back(format_, POINT) == ((POINT,), {})


class Hidden(BaseModel):
    _key: int = PrivateAttr(default_factory=lambda: random.randint(0, 10**9))


class Changing(BaseModel):
    text: str

    @field_validator("text")
    def _change(cls, text: str) -> str:
        if text == "raise":
            raise KeyError(SECRET)
        return text + "!"


@dataclass
class Node:
    """Its own parent, in a field that is none of its arguments."""

    parent: "Node" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.parent = self


@dataclass
class Marked:
    x: int


@dataclass(slots=True)
class Ticket:
    """Its number is another one each time."""

    number: int = field(init=False, default_factory=lambda: random.randint(0, 10**9))


def test_what_a_model_holds_besides_its_fields_is_not_lost() -> None:
    """Private attributes, what validators change, what was set by hand: refused."""
    assert "would not come back equal" in refusal(sends(Hidden), Hidden())
    assert "would not come back equal" in refusal(sends(Changing), Changing(text=SECRET))
    assert "it cannot be read along its annotation (KeyError)" in refusal(
        sends(Changing), Changing.model_construct(text="raise")
    )
    assert "it holds itself" in refusal(sends(Node), Node())
    marked = Marked(1)
    marked.by_hand = SECRET  # type: ignore[attr-defined]
    assert "would not come back equal" in refusal(sends(Marked), marked)
    assert "would not come back equal" in refusal(sends(Ticket), Ticket())


MORNING = datetime(2024, 10, 27, 2, 30, tzinfo=ROME)


@pytest.mark.parametrize(
    ("kind", "changed", "value"),
    [
        (datetime, lambda at: at.replace(hour=3), MORNING),
        (datetime, lambda at: at.replace(fold=1), MORNING),
        (time, lambda at: at.replace(fold=1), time(2, 30, tzinfo=ROME)),
        (datetime, lambda at: at.replace(tzinfo=UTC), MORNING),
        (datetime, lambda at: at.replace(tzinfo=None), MORNING),
        (datetime, lambda at: at.replace(tzinfo=ZoneInfo("UTC")), MORNING),
        (datetime, lambda at: at.replace(tzinfo=ROME), NOW.replace(tzinfo=UTC)),
        (datetime, lambda at: at.replace(tzinfo=None), NOW.replace(tzinfo=UTC)),
        (datetime, lambda at: at.replace(tzinfo=timezone(timedelta(hours=1))), NOW.replace(tzinfo=UTC)),
        (list[int], lambda items: items[1:], [1, 2]),
        (deque[int], lambda items: deque(items, maxlen=5), deque([1], maxlen=3)),
        (deque[int], deque, deque([1], maxlen=3)),
        (deque[int], list, deque([1])),
        (defaultdict[str, int], lambda items: defaultdict(str, items), defaultdict(int, a=1)),
        (dict[str, int], lambda items: items | {"b": 1}, {"a": 1}),
        (set[int], lambda items: items | {5}, {1}),
        (Decimal, lambda value: value.normalize(), Decimal("1.50")),
    ],
)
def test_what_a_validator_changes_is_refused(kind: Any, changed: Callable[[Any], Any], value: Any) -> None:
    """Be it the zone, the precision, or how long it may become, which make no difference to ``==`` at times."""
    assert "would not come back" in refusal(sends(Annotated[kind, AfterValidator(changed)]), value)


def malformed(format_: CallFormat, arguments: Any) -> str:
    """Why they are dead."""
    with pytest.raises(MessageMalformed) as dead:
        format_.decode(arguments)
    assert SECRET not in "".join(traceback.format_exception(dead.value))
    assert dead.value.__context__ is None
    return dead.value.reason


@pytest.mark.parametrize(
    "arguments",
    [None, SECRET, [], {}, {"args": [], "kwargs": []}, {"args": {}, "kwargs": {}}, {"args": [], "kwargs": {1: SECRET}}],
    ids=repr,
)
def test_what_are_no_arguments_is_malformed(arguments: Any) -> None:
    """The reason says so."""
    assert malformed(sends(int), arguments) == "the arguments of shop:task are not args and kwargs"


def test_arguments_of_another_function_are_malformed() -> None:
    """The reason says which are expected."""
    arguments: dict[str, Any]
    for arguments in ({"args": [1, 2], "kwargs": {}}, {"args": [], "kwargs": {SECRET: 1}}, {"args": [], "kwargs": {}}):
        assert malformed(sends(int), arguments).startswith("the arguments do not fit shop:task(value:")


def test_a_task_of_the_same_parameters_has_the_same_shape() -> None:
    """Whatever their defaults are; in whichever process."""
    assert sends(int).shape == sends(int).shape == "2491fbb35f69634e"
    assert sends(int).shape != sends(int | str).shape


DAMAGED: list[Any] = [
    {"$nothing": SECRET},
    {"$uuid": SECRET},
    {"$uuid": 5},
    {"$int": SECRET},
    {"$int": 5},
    {"$bytes": SECRET},
    {"$bytes": ["a"]},
    {"$bytes": "YQ==\n"},
    {"$decimal": SECRET},
    {"$decimal": "1e999999999"},
    {"$decimal": "Infinity"},
    {"$decimal": "1" * 7000},
    {"$decimal": [0, [1], 10**9]},
    {"$date": SECRET},
    {"$date": {}},
    {"$datetime": [SECRET, 0, None]},
    {"$datetime": ["2024-01-01", 2, None]},
    {"$datetime": ["2024-01-01", 0, "../../etc/passwd"]},
    {"$datetime": ["2024-01-01", 0, ["a"]]},
    {"$time": SECRET},
    {"$timedelta": [1, 2]},
    {"$timedelta": [10**30, 0, 0]},
    {"$timedelta": [0.5, 0, 0]},
    {"$secret": 5},
    {"$tuple": SECRET},
    {"$set": {"a": 1}},
    {"$dict": SECRET},
    {"$dict": [[[], 1]]},
    {"$dict": [[1, 2, 3]]},
    {"$model": [SECRET, []]},
    {"$model": [{}, [1]]},
    {"$model": SECRET},
    {"$enum": [[], 1]},
    {"$enum": "abc"},
]


@pytest.mark.parametrize("written", DAMAGED, ids=lambda written: str(written)[:40].replace(SECRET, "secret"))
def test_a_damaged_value_is_malformed(written: Any) -> None:
    """Whatever its annotation; nothing is imported, no file opened, no memory taken."""
    for annotation in (Any, Color, dict[str, Any]):
        reason = malformed(sends(annotation), {"args": [written], "kwargs": {}})
        assert reason.startswith("the argument 'value' of shop:task ")


# A file of one time zone, as small as there is one.
TZIF = b"TZif" + bytes(16) + b"".join(each.to_bytes(4) for each in (0, 0, 0, 0, 1, 4)) + bytes(6) + b"AAA\0"


def test_for_a_zone_that_nobody_knows_no_file_is_looked_for(tmp_path: Path) -> None:
    """Although there is one of its name."""
    format_ = sends(datetime)
    there_and_back(format_, MORNING)
    (tmp_path / "Here").write_bytes(TZIF)
    reset_tzpath([str(tmp_path)])
    try:
        assert ZoneInfo("Here").tzname(NOW) == "AAA"
        reason = malformed(format_, {"args": [{"$datetime": ["2024-01-01", 0, "Here"]}], "kwargs": {}})
    finally:
        reset_tzpath()
    assert reason == "the argument 'value' of shop:task cannot be read along its annotation (ValueError)"


def test_a_value_of_another_type_is_malformed() -> None:
    """Also where the annotation cannot be used, or a validator fails."""
    call = {"args": [SECRET], "kwargs": {}}
    assert "does not fit its annotation (int_parsing)" in malformed(sends(int), call)
    assert "is annotated with what cannot travel" in malformed(sends("Nowhere"), call)
    of_an_enum = {"args": [{"$enum": ["tests.test_12_wire:Color", SECRET]}], "kwargs": {}}
    assert "cannot be read along its annotation (ValueError)" in malformed(sends(Color), of_an_enum)
    failing = {"args": [{"text": "raise"}], "kwargs": {}}
    assert "cannot be read along its annotation (KeyError)" in malformed(sends(Changing), failing)


@pytest.mark.parametrize(
    ("sent", "read", "value"),
    [
        (int, float, 1),
        (Color, str, Color.RED),
        (datetime, Any, NOW),
        (list[int], tuple[int, ...], [1]),
        (list[User], list[Any], [user()]),
        (list[User], Any, [user()]),
        (dict[str, User], Names | dict[str, Any], {"a": user()}),
        (tuple[User, int], set[Any] | Any, (user(), 1)),
        (User, Annotated[Any, AfterValidator(str)], user()),
    ],
    ids=str,
)
def test_a_worker_may_have_another_annotation(sent: Any, read: Any, value: Any) -> None:
    """While a new version is rolled out: it gets what its own annotation says."""
    sends(read).decode(sends(sent).encode((value,), {}))


def test_a_worker_may_have_another_model() -> None:
    """One with a field more, or one that is a dataclass or made of one's items now."""

    class Holder(BaseModel):
        inner: User
        count: int = 1

    written = sends(Holder).encode((Holder(inner=user()),), {})
    Newer = create_model("Newer", inner=(Any, None), other=(int, 5))
    [newer], _ = sends(Newer).decode(written)
    assert newer.other == 5
    Other = make_dataclass("Other", [("inner", User), ("count", int)])
    [other], _ = sends(Other).decode(written)
    assert other.inner.model_fields_set == {"address"}

    @dataclass
    class Pair:
        inner: dict[str, Any]

    sends(Pair | Any).decode(written)


ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=-5, seconds=1))]) | st.timezone_keys(
    allow_prefix=False
).map(ZoneInfo)
# Annotations that hypothesis makes up, each with values of it.
SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (str, st.text()),
    (bytes, st.binary()),
    (bool, st.booleans()),
    (None, st.none()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (UUID, st.uuids()),
    (date, st.dates()),
    (time, st.times()),
    (timedelta, st.timedeltas()),
    (datetime, st.datetimes(timezones=ZONES)),
    (Color, st.sampled_from(Color)),
    (Literal["a", 1], st.sampled_from(["a", 1])),
]
SECRETS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (SecretStr, st.text().map(SecretStr)),
    (SecretBytes, st.binary().map(SecretBytes)),
]


# Type checkers know only literal fields.
_model: Any = create_model
_named_tuple: Any = NamedTuple
_typed_dict: Any = TypedDict
Typed = tuple[Any, st.SearchStrategy[Any]]


def _of(kind: Any, *parts: Any) -> Any:
    return kind[parts]


def _containers(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    scalar = st.sampled_from(SCALARS)
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        inner.map(lambda each: (_of(list, each[0]), st.lists(each[1], max_size=3))),
        inner.map(lambda each: (_of(tuple, each[0], ...), st.lists(each[1], max_size=3).map(tuple))),
        some.map(lambda each: (_of(tuple, *(kind for kind, _ in each)), st.tuples(*(values for _, values in each)))),
        scalar.map(lambda each: (_of(set, each[0]), st.sets(each[1], max_size=3))),
        scalar.map(lambda each: (_of(frozenset, each[0]), st.frozensets(each[1], max_size=3))),
        st.tuples(scalar, inner).map(
            lambda pair: (_of(dict, pair[0][0], pair[1][0]), st.dictionaries(pair[0][1], pair[1][1], max_size=3))
        ),
        st.tuples(st.sampled_from(["$uuid", "$dict", "a"]), inner).map(
            lambda pair: (_of(dict, str, pair[1][0]), st.fixed_dictionaries({pair[0]: pair[1][1]}))
        ),
        inner.map(lambda each: (_of(Union, each[0], None), st.none() | each[1])),
        some.map(_record(lambda held: _model("M", **{name: (kind, ...) for name, kind in held.items()}))),
        some.map(_record(lambda held: make_dataclass("D", held.items()))),
        some.map(_record(lambda held: _named_tuple("N", list(held.items())))),
        some.map(_record(lambda held: _typed_dict("T", held))),
    )


def _record(make: Callable[[dict[str, Any]], Any]) -> Callable[[list[Typed]], Typed]:
    def record(parts: list[Typed]) -> Typed:
        kind = make({f"f{index}": annotation for index, (annotation, _) in enumerate(parts)})
        held = st.fixed_dictionaries({f"f{index}": values for index, (_, values) in enumerate(parts)})
        return kind, held.map(lambda given: kind(**given))

    return record


TYPED = st.recursive(st.sampled_from([*SCALARS, *SECRETS]), _containers, max_leaves=5)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_whatever_is_annotated_comes_back(data: st.DataObject) -> None:
    """Annotations and values that nobody thought of."""
    annotation, values = data.draw(TYPED)
    value = data.draw(values)
    [back], _ = there_and_back(sends(annotation), value)
    assert difference(value, back) is None


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_whatever_travels_comes_back_or_is_refused(data: st.DataObject) -> None:
    """A value under an annotation that was made for another."""
    (annotation, _), (_, values) = data.draw(st.tuples(TYPED, TYPED))
    value = data.draw(values)
    format_ = sends(annotation)
    try:
        encoded = format_.encode((value,), {})
    except TypeError:
        refusal(format_, value)
    else:
        [back], _ = format_.decode(from_json(to_json(encoded), 2**20))
        assert difference(value, back) is None


TAGS = ["$int", "$dict", "$tuple", "$set", "$frozenset", "$bytes", "$datetime", "$time", "$date", "$timedelta"]
TAGS += ["$decimal", "$uuid", "$secret", "$model", "$enum"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["2024-01-01", "1e5"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(), inner, max_size=3)
        | st.tuples(st.sampled_from(TAGS), inner).map(lambda pair: dict([pair]))
    ),
    max_leaves=10,
)


@settings(deadline=None, max_examples=500)
@given(TYPED, JSON)
def test_no_arguments_raise_anything_else(typed: Typed, written: Any) -> None:
    """A worker lives on, whatever it is given."""
    for arguments in (written, {"args": [written], "kwargs": {}}, {"args": [], "kwargs": {"value": written}}):
        with suppress(MessageMalformed):
            sends(typed[0]).decode(arguments)
