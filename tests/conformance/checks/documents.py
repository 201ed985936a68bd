"""The document, the schema and the golden messages agree."""
import copy
import json
import pathlib

import schema
from world import check, only_word


@check()
def golden_messages_are_what_the_tables_say(world):
    for path, kind, message in golden(world):
        data = path.with_suffix(".bincode").read_bytes()
        assert world.codec.decode(kind, data) == message, f"{path.name}: decoded otherwise"
        assert world.codec.encode(kind, message) == data, f"{path.name}: encoded otherwise"


@check()
def golden_messages_have_every_word_and_every_absence(world):
    seen = {}

    def walk(kind, value, at):
        at = kind[1] if kind[0] == "named" else at
        what, inner = world.document.resolve(kind)
        if what == "optional":
            seen.setdefault(at, set()).add(value is not None)
            if value is not None:
                walk(inner, value, at)
        elif what == "list":
            [walk(inner, item, at + "[]") for item in value]
        elif what == "tuple":
            [walk(part, item, f"{at}({index})") for index, (part, item) in enumerate(zip(inner, value))]
        elif what == "fields":
            [walk(part, value[name], f"{at}.{name}") for name, part in inner]
        elif what == "words":
            word = only_word(value)
            seen.setdefault(f"words of {at}", set()).add(word)
            if not isinstance(value, str):
                walk(dict(inner)[word], value[word], f"{at}:{word}")
        elif inner == "bool":
            seen.setdefault(at, set()).add(value)

    for _, kind, message in golden(world):
        walk(kind, message, "")
    for name, (what, inner) in world.document.types.items():
        if what == "words":
            missing = {word for word, _ in inner} - seen.get(f"words of {name}", set())
            assert not missing, f"no golden message has {sorted(missing)} of {name}"
    one_way = [at for at, values in seen.items() if not at.startswith("words of") and len(values) == 1]
    assert not one_way, f"always or never there, always or never so: {one_way}"


@check()
def golden_messages_are_valid(world):
    own = lambda message: schema.check(world.schema, world.schema, message, "")
    for path, _, message in golden(world):
        for valid in (world.valid, own):
            try:
                valid(message)
            except AssertionError as error:
                raise AssertionError(f"{path.name}: {error}")


@check()
def broken_golden_messages_are_not_valid(world):
    """A field too many or too few, a value of another kind, anywhere."""
    own = lambda message: schema.check(world.schema, world.schema, message, "")
    count = 0
    for path, _, message in golden(world):
        for broken in mutants(message):
            for valid in (world.valid, own):
                try:
                    valid(broken)
                except AssertionError:
                    count += 1
                    continue
                raise AssertionError(f"{path.name} passes as {json.dumps(broken)[:300]}")
    assert count > 2000, f"only {count} mutants"


def golden(world):
    paths = sorted(pathlib.Path(world.golden).glob("*.json"))
    assert len(paths) > 100, f"no golden files in {world.golden}"
    for path in paths:
        message = json.loads(path.read_bytes())
        kind = "client frame" if next(iter(message)) in ("request", "cancel") else "daemon frame"
        yield path, ("named", kind), message


def mutants(message):
    def places(value, way=()):
        yield way, value
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from places(inner, way + (name,))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                yield from places(inner, way + (index,))

    def put(way, value):
        broken = copy.deepcopy(message)
        if not way:
            return value
        at = broken
        for step in way[:-1]:
            at = at[step]
        at[way[-1]] = value
        return broken

    for way, value in places(message):
        yield put(way, 1.5)
        if isinstance(value, dict):
            yield put(way, value | {"more": 1})
            for name in value:
                yield put(way, {key: inner for key, inner in value.items() if key != name})
        elif isinstance(value, bool):
            yield put(way, "true")
        elif isinstance(value, int):
            yield put(way, -(1 << 64))
        elif isinstance(value, str):
            yield put(way, [value])
