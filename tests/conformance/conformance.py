#!/usr/bin/env python3
"""Checks a daemon over its control socket, by docs/protocol.md and nothing else.

    conformance.py                     starts an `authsomed` of its own in a home of its own
    conformance.py --socket PATH       asks a daemon that runs; only looks
    conformance.py --socket PATH --changes
                                       logs in there, too (as `conformance-…`, removed at the end)

One line a check, as TAP. The exit code is 1 if one failed. Needs Python 3.11 and nothing else; with
`jsonschema` installed, that judges the messages instead of the validator here.
"""
import argparse
import copy
import html.parser
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
import urllib.request

import document
import schema
import wire
from wire import BINCODE, FRAME_MAX, JSON, Client, Closed, Refused, Stream, hello, read_hello

CHECKS = []
BOTH = {"json": JSON, "bincode": BINCODE}


def check(encodings=(), changes=False, slow=False, own=False):
    """A check; with encodings it is one for each. `own` ones need a daemon that nobody else needs."""
    def add(function):
        name = function.__name__
        variants = [(f"{name}_{word}", BOTH[word]) for word in encodings] or [(name, None)]
        for full, encoding in variants:
            CHECKS.append((full, function, encoding, changes, slow, own))
        return function
    return add


EACH = ("json", "bincode")


class World:
    """What the checks are about."""

    def __init__(self, options):
        self.document, folder = document.load()
        self.schema = json.loads((folder / "protocol.schema.json").read_text())
        self.valid = schema.validator(self.schema)
        self.codec = wire.Codec(self.document, self.valid)
        self.golden = options.golden or folder.parent / "proto" / "golden" / "v1"
        self.socket, self.home, self.mark = options.socket, None, None
        self.connection = f"conformance-{random.randrange(16 ** 8):08x}"
        if self.socket is None:
            self.start(options.daemon)

    def start(self, program):
        """A home and a daemon of our own."""
        self.home = tempfile.mkdtemp(prefix="ac-", dir="/tmp")
        runtime = os.path.join(self.home, "r")
        os.mkdir(runtime, 0o700)
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment |= {"HOME": self.home, "AUTHSOME_HOME": f"{self.home}/a", "XDG_RUNTIME_DIR": runtime}
        os.mkdir(f"{self.home}/a", 0o700)
        # encrypted files, so that nobody's keyring is touched, and a port that is free
        pathlib.Path(f"{self.home}/a/config.toml").write_text(
            f'[vault]\nstore = "file"\n\n[login]\nport = {free_port()}\n')
        started = subprocess.run([program, "--detach"], env=environment, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0,
                                 timeout=30)
        text = started.stdout.decode()
        if text not in ("ready\n", "already-running\n"):
            raise SystemExit(f"{program} did not start: {text}")
        self.socket = wire.find(environment)

    def stop(self):
        if self.home:
            with self.client(BINCODE) as client:
                client.ask("shutdown")
                client.seconds_until_closed(20)
            shutil.rmtree(self.home, ignore_errors=True)

    def stream(self, timeout=10):
        return Stream(self.socket, timeout)

    def client(self, encoding, timeout=20):
        return Client(self.socket, encoding, self.codec, timeout)

    def alive(self):
        """Somebody else is served."""
        with self.client(JSON) as client:
            client.ask("status")

    def closes(self, stream, at_most=5):
        stream.seconds_until_closed(at_most)
        self.alive()


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- the documents themselves ---------------------------------------------------------------------

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


# --- the opening ----------------------------------------------------------------------------------

@check(encodings=EACH)
def opening_is_answered(world, encoding):
    with world.stream() as stream:
        stream.write_frame(hello(encoding))
        lowest, highest, accepted, build = read_hello(stream.read_frame())
        assert accepted == encoding and lowest <= 1 <= highest and build
        stream.write_frame(world.codec.encode(("named", "client frame"), status(1))
                           if encoding == BINCODE else json.dumps(status(1)).encode())
        assert stream.read_frame()


def status(number):
    return {"request": {"id": number, "request": "status"}}


@check()
def opening_with_another_magic_is_closed(world):
    for payload in (b"HTTP/1.1" + hello(JSON)[8:], b"authsome" + hello(JSON)[8:], b"", b"GET / HTTP/1.1\r\n\r\n"):
        with world.stream() as stream:
            stream.write_frame(payload)
            try:
                raise AssertionError(f"{payload!r} was answered: {stream.read_frame()!r}")
            except Closed:
                pass
    world.alive()


@check()
def opening_with_an_unknown_encoding_is_told_so(world):
    for encoding in (0, 3, 255):
        with world.stream() as stream:
            stream.write_frame(hello(encoding))
            assert read_hello(stream.read_frame())[2] == 0
            world.closes(stream)


@check()
def opening_without_a_shared_version_is_told_which_are(world):
    for lowest, highest in ((900, 901), (0, 0), (2, 1)):
        with world.stream() as stream:
            stream.write_frame(hello(JSON, lowest, highest))
            low, high, encoding, _ = read_hello(stream.read_frame())
            if (lowest, highest) == (2, 1) and encoding:
                continue  # a range upside down is the client's own business
            assert encoding == 0 and low == 1 and high >= 1, (low, high, encoding)
            world.closes(stream)


@check()
def opening_with_more_versions_is_taken(world):
    with world.stream() as stream:
        stream.write_frame(hello(JSON, 0, 65535))
        assert read_hello(stream.read_frame())[2] == JSON


@check()
def opening_ignores_bytes_behind_the_build(world):
    for more in (b"x", b"x" * (512 - len(hello(JSON)))):
        with world.stream() as stream:
            stream.write_frame(hello(JSON) + more)
            assert read_hello(stream.read_frame())[2] == JSON
    with world.stream() as stream:
        stream.write_frame(hello(JSON, build=b""))
        assert read_hello(stream.read_frame())[2] == JSON


@check()
def opening_cut_short_is_closed(world):
    whole = hello(JSON)
    for end in range(len(whole)):
        with world.stream() as stream:
            stream.write_frame(whole[:end])
            stream.seconds_until_closed(4)
    world.alive()


@check()
def opening_of_no_text_is_closed(world):
    with world.stream() as stream:
        stream.write_frame(hello(JSON, build=b"\xff\xfe"))
        world.closes(stream)


@check()
def opening_over_its_limit_is_closed_unread(world):
    for length in (513, FRAME_MAX, 0xFFFFFFFF):
        with world.stream() as stream:
            stream.write(length.to_bytes(4, "big"))
            world.closes(stream, at_most=3)


@check()
def opening_in_pieces_and_ahead_is_understood(world):
    whole = len(hello(JSON)).to_bytes(4, "big") + hello(JSON)
    ask = json.dumps(status(7)).encode()
    with world.stream() as stream:
        for byte in whole:
            stream.write(bytes([byte]))
        read_hello(stream.read_frame())
    with world.stream() as stream:
        stream.write(whole + len(ask).to_bytes(4, "big") + ask)
        read_hello(stream.read_frame())
        assert json.loads(stream.read_frame())["answer"]["id"] == 7


@check(slow=True)
def opening_that_is_slow_is_closed(world):
    with world.stream() as silent, world.stream() as slow:
        begin = time.monotonic()
        slow.write((200).to_bytes(4, "big"))
        for byte in hello(JSON):
            try:
                slow.write(bytes([byte]))
            except Closed:
                break
            time.sleep(0.3)
        silent.seconds_until_closed(8)
        slow.seconds_until_closed(8)
        took = time.monotonic() - begin
        assert 4 < took < 12, f"{took:.1f} s"
    world.alive()


# --- frames ---------------------------------------------------------------------------------------

@check(encodings=EACH)
def frame_over_its_limit_is_closed_unread(world, encoding):
    for length in (FRAME_MAX + 1, 1 << 31, 0xFFFFFFFF):
        with world.client(encoding) as client:
            client.write(length.to_bytes(4, "big"))
            world.closes(client, at_most=3)


@check(encodings=EACH)
def frame_of_garbage_is_closed(world, encoding):
    random.seed(5)
    for length in (0, 1, 2, 7, 300, 70_000):
        with world.client(encoding) as client:
            try:
                client.write_frame(b"\xf0" + random.randbytes(length - 1) if length else b"")
            except Closed:
                continue
            world.closes(client)


@check(encodings=EACH)
def frame_with_bytes_left_over_is_closed(world, encoding):
    for more in (b"\0", b"x", b"{}"):
        with world.client(encoding) as client:
            client.write_frame(client.encode(status(1)) + more)
            world.closes(client)


@check(encodings=EACH)
def frame_cut_short_is_closed(world, encoding):
    asked = {"request": {"id": 1, "request": {"inspect": {"provider": "intercom"}}}}
    with world.client(encoding) as client:
        whole = client.encode(asked)
    for end in (1, len(whole) // 2, len(whole) - 1):
        with world.client(encoding) as client:
            client.write_frame(whole[:end])
            world.closes(client)


@check()
def unknown_words_are_closed(world):
    words = len(world.document.words("request"))
    for payload in (bytes([2, 1]), bytes([0, 1, words]), bytes([0, 1, 250]), bytes([251, 0xFF, 0xFF, 1, 1])):
        with world.client(BINCODE) as client:
            client.write_frame(payload)
            world.closes(client)
    for message in ({"question": {"id": 1}}, {"request": {"id": 1, "request": "no_such_thing"}},
                    {"request": {"id": 1, "request": {"status": None, "runs": None}}}, [], 7, None):
        with world.client(JSON) as client:
            client.write_frame(json.dumps(message).encode())
            world.closes(client)


@check()
def values_of_another_kind_are_closed(world):
    for payload in (bytes([0, 1, 3, 1, 97, 2]), bytes([0, 1, 3, 0, 0]), bytes([0, 253]) + b"\xff" * 8 + b"\0",
                    bytes([0, 1, 3, 253]) + b"\xff" * 8, bytes([0, 1, 3, 2, 0xC3, 0x28, 0])):
        with world.client(BINCODE) as client:
            client.write_frame(payload)
            world.closes(client)
    for request in ({"inspect": {"provider": "Upper"}}, {"inspect": {"provider": "a" * 65}}, {"inspect": {"provider": ""}},
                    {"inspect": {"provider": "../x"}}, {"inspect": {"provider": 7}}, {"inspect": {}}):
        with world.client(JSON) as client:
            client.send(request)
            world.closes(client)
    for number in (-1, 1 << 32, 1.5, "1"):
        with world.client(JSON) as client:
            client.send("status", number)
            world.closes(client)


@check()
def nesting_without_end_is_closed(world):
    for opening in (b"[", b'{"request":', b'{"request":{"id":1,"request":{"explain":{"connections":' + b"["):
        with world.client(JSON) as client:
            try:
                client.write_frame((opening * (FRAME_MAX // len(opening)))[:FRAME_MAX])
            except Closed:
                continue
            world.closes(client, at_most=10)


@check(encodings=EACH)
def ids_are_single_use(world, encoding):
    with world.client(encoding) as client:
        client.ask("status")
        client.send("status", 1)
        world.closes(client)
    with world.client(encoding) as client:
        client.send("subscribe", 4)
        client.send("subscribe", 4)
        world.closes(client)
    with world.client(encoding) as client:
        for number in (0, 0xFFFFFFFF, 5):
            client.answer(client.send("status", number))


@check(encodings=EACH)
def requests_in_flight_have_a_limit_that_a_cancel_frees(world, encoding):
    with world.client(encoding) as client:
        waiting = [client.send("subscribe") for _ in range(64)]
        refused(client, "status", "too_many_requests")
        client.cancel(waiting[10])
        assert client.answer(waiting[10]) == "done"
        client.ask("status")
        for number in waiting[:10] + waiting[11:]:
            client.cancel(number)
        assert all(client.answer(number) == "done" for number in waiting)


@check(encodings=EACH)
def cancels_of_what_is_not_there_are_ignored(world, encoding):
    with world.client(encoding) as client:
        client.cancel(77)
        done = client.send("status")
        client.answer(done)
        client.cancel(done)
        client.ask("status")


@check(encodings=EACH)
def many_requests_are_each_answered_once(world, encoding):
    with world.client(encoding) as client:
        numbers = [client.send("who_am_i") for _ in range(50)]
        for number in reversed(numbers):
            client.answer(number)
        assert set(client.answers) == set(numbers)


@check(encodings=EACH)
def frame_in_single_bytes_is_understood(world, encoding):
    with world.client(encoding) as client:
        payload = client.encode({"request": {"id": 9, "request": {"inspect": {"provider": "no-such"}}}})
        for byte in len(payload).to_bytes(4, "big") + payload:
            client.write(bytes([byte]))
        try:
            client.answer(9)
        except Refused as error:
            assert error.code == "unknown_provider", error
        else:
            raise AssertionError("it was answered")


@check(encodings=EACH)
def largest_frame_is_understood(world, encoding):
    with world.client(encoding) as client:
        empty = {"request": {"id": 1, "request": {"explain": explain("")}}}
        room = FRAME_MAX - len(client.encode(empty)) - 8
        for _ in range(6):
            request = {"explain": explain("https://example.org/" + "a" * (room - 20))}
            client.last += 1
            payload = client.encode({"request": {"id": client.last, "request": request}})
            assert FRAME_MAX - 64 < len(payload) <= FRAME_MAX
            client.write_frame(payload)
            try:
                client.answer(client.last)
            except Refused:
                pass
        client.ask("status")


def explain(url):
    return {"method": "GET", "url": url, "run": None, "connections": [], "project": None}


@check(slow=True)
def frame_that_is_not_finished_is_closed(world):
    with world.client(JSON) as client, world.client(BINCODE) as prefix, world.client(JSON) as large:
        client.write(b"\0\0\0\x20{\"requ")
        prefix.write(b"\0\0")
        large.write(FRAME_MAX.to_bytes(4, "big") + b" " * 1000)
        world.alive()
        took = client.seconds_until_closed(25)
        prefix.seconds_until_closed(15)
        large.seconds_until_closed(15)
        assert took > 5, f"{took:.1f} s"
    world.alive()


@check(slow=True)
def client_that_does_not_read_is_closed(world):
    with world.client(JSON, timeout=5) as client:
        client.socket.setsockopt(1, 8, 4096)  # SOL_SOCKET, SO_RCVBUF: the daemon's answers pile up
        begin = time.monotonic()
        try:
            for _ in range(2000):
                client.send("providers")
        except (Closed, TimeoutError):
            pass
        world.alive()
        while True:
            assert time.monotonic() - begin < 40, "it is still open"
            try:
                client.write(b"\0")
            except Closed:
                break
            except (TimeoutError, BlockingIOError):
                pass
            time.sleep(0.1)
        assert time.monotonic() - begin > 5, "it was closed too early"
    world.alive()


@check(encodings=EACH)
def hanging_up_in_one_direction_is_hanging_up(world, encoding):
    with world.client(encoding) as client:
        client.send("subscribe")
        client.socket.shutdown(1)
        client.seconds_until_closed(5)
    world.alive()


# --- requests that only look ----------------------------------------------------------------------

@check(encodings=EACH)
def looking_is_answered(world, encoding):
    with world.client(encoding) as client:
        expect = {"status": "status", "connections": "connections", "providers": "providers", "runs": "runs",
                  "log_verify": "log_verified", "doctor": "doctor", "who_am_i": "who_am_i",
                  "webhooks": "webhooks"}
        for request, answer in expect.items():
            assert only(client.ask(request)) == answer, request
        log = client.ask({"log": {"lines": 5, "provider": None, "run": None}})["log"]
        assert len(log["lines"]) <= 5
        explained = client.ask({"explain": explain("https://example.org/x")})["explained"]
        assert explained["outcome"] in world.document.words("effect")


def only(answer):
    (name,) = answer
    return name


@check(encodings=EACH)
def status_and_caller_are_right(world, encoding):
    with world.client(encoding) as client:
        status = client.ask("status")["status"]
        assert status["pid"] == client.peer_pid, status
        assert status["socket"] == str(world.socket), status
        assert status["version"] == client.build, status
        assert wire.read_note(os.path.join(status["home"], "daemon.lock")) == str(world.socket)
        me = client.ask("who_am_i")["who_am_i"]
        assert (me["uid"], me["pid"], me["home"]) == (os.getuid(), os.getpid(), status["home"]), me


@check(encodings=EACH)
def providers_can_be_looked_at(world, encoding):
    with world.client(encoding) as client:
        providers = client.ask("providers")["providers"]["providers"]
        assert providers, "there are none"
        for provider in providers[:10]:
            text = client.ask({"inspect": {"provider": provider["provider"]}})["definition"]["json"]
            json.loads(text)


@check()
def both_encodings_say_the_same(world):
    with world.client(JSON) as one, world.client(BINCODE) as other:
        for request in ("providers", "connections", "webhooks"):
            assert one.ask(request) == other.ask(request), request


@check(encodings=EACH)
def errors_have_their_codes(world, encoding):
    nobody, login = {"provider": "no-such-provider"}, {"login": "nosuchlogin"}
    with world.client(encoding) as client:
        refused(client, {"inspect": nobody}, "unknown_provider")
        refused(client, {"connection": nobody | {"connection": None}}, "unknown_connection", "unknown_provider")
        refused(client, {"login_wait": login}, "login_expired")
        refused(client, {"login_submit": login | {"secret": "x"}}, "login_expired")
        refused(client, {"run_stop": {"run": "nosuchrun"}}, "unknown_run")
        refused(client, {"webhook_remove": {"webhook": "no-such-webhook"}}, "unknown_webhook")
        client.ask("status")


def refused(client, request, *codes):
    try:
        answer = client.ask(request)
    except Refused as error:
        assert error.code in codes, f"{error.code} instead of {codes}"
        return error
    raise AssertionError(f"{request} was answered with {str(answer)[:200]}")


# --- logging in -----------------------------------------------------------------------------------

def key_provider(client):
    """A provider that takes any key."""
    for provider in client.ask("providers")["providers"]["providers"]:
        if provider["auth"] == "api_key" and not provider["not_yet"] and not provider["key_pattern"]:
            return provider["provider"]
    raise AssertionError("no provider takes any key")


def begin(client, world, via, provider=None, connection=None):
    provider = provider or key_provider(client)
    request = {"provider": provider, "connection": connection or world.connection, "force": False, "via": via,
               "region": None, "flow": None, "scopes": [], "base_url": None, "client_id": None}
    return provider, client.ask({"login": request})["login_started"]


def secret():
    return f"conformance{random.randrange(16 ** 24):024x}"


def forget(client, world, provider, connection=None):
    try:
        client.ask({"logout": {"provider": provider, "connection": connection or world.connection}})
    except Refused as error:
        assert error.code in ("unknown_connection",), error


@check(encodings=EACH, changes=True)
def login_by_submit(world, encoding):
    with world.client(encoding, timeout=60) as client, world.client(encoding) as listener:
        hearing = listener.send("subscribe")
        listener.ask("status")
        provider, started = begin(client, world, "submit")
        try:
            assert started["step"] == {"enter": {"asks": "api_key"}}, started
            assert started["seconds_left"] > 500
            waiting = client.send({"login_wait": {"login": started["login"]}})
            client.event(waiting, "login_progress", lambda event: only_word(event["stage"]) in ("step", "waiting"))
            value = secret()
            done = client.ask({"login_submit": {"login": started["login"], "secret": value}})["logged_in"]
            assert (done["provider"], done["connection"]) == (provider, world.connection), done
            assert client.answer(waiting)["logged_in"]["connection"] == world.connection
            listener.event(hearing, "connection_changed", lambda event: event["connection"] == world.connection)
            listed = client.ask("connections")["connections"]
            assert [item for item in listed if item["connection"] == world.connection][0]["state"] == "connected"
            one = client.ask({"connection": {"provider": provider, "connection": world.connection}})["connection"]
            assert one["auth"] == "api_key"
            shown = client.ask({"reveal": {"provider": provider, "connection": world.connection}})["revealed"]
            assert shown["secret"] == value
            refused(client, {"login_submit": {"login": started["login"], "secret": value}},
                    "login_expired", "bad_request")
            error = refused(client, {"login": request_again(provider, world)}, "already_connected")
            assert error.error["message"]
        finally:
            forget(client, world, provider)
        refused(client, {"connection": {"provider": provider, "connection": world.connection}}, "unknown_connection")


def request_again(provider, world):
    return {"provider": provider, "connection": world.connection, "force": False, "via": "submit", "region": None,
            "flow": None, "scopes": [], "base_url": None, "client_id": None}


def only_word(value):
    return value if isinstance(value, str) else next(iter(value))


class Form(html.parser.HTMLParser):
    """The page's form: where it goes, and its fields."""

    def __init__(self, text):
        super().__init__()
        self.action, self.fields, self.asked = None, {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form" and self.action is None:
            self.action = attributes.get("action", "")
        if tag in ("input", "textarea") and attributes.get("name"):
            self.fields[attributes["name"]] = attributes.get("value") or ""
            if attributes.get("type") not in ("hidden", "submit"):
                self.asked.append(attributes["name"])


@check(encodings=EACH, changes=True)
def login_by_form(world, encoding):
    with world.client(encoding, timeout=60) as client:
        provider, started = begin(client, world, "form")
        try:
            step = started["step"]["form"]
            assert step["asks"] == "api_key", step
            waiting = client.send({"login_wait": {"login": started["login"]}})
            stages = [client.event(waiting, "login_progress")["stage"] for _ in range(3)]
            assert any(only_word(stage) == "waiting" for stage in stages), stages
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            page = opener.open(step["url"], timeout=10).read().decode()
            form = Form(page)
            origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(step["url"]))
            headers = {"Origin": origin, "Referer": step["url"], "Sec-Fetch-Site": "same-origin",
                       "Sec-Fetch-Mode": "navigate", "Content-Type": "application/x-www-form-urlencoded"}
            assert form.asked, page
            fields = form.fields | {name: secret() for name in form.asked[:1]}
            target = urllib.parse.urljoin(step["url"], form.action)
            post = urllib.request.Request(target, urllib.parse.urlencode(fields).encode(), headers)
            assert opener.open(post, timeout=20).status == 200
            assert client.answer(waiting)["logged_in"]["connection"] == world.connection
        finally:
            forget(client, world, provider)


@check(encodings=EACH, changes=True)
def login_that_is_given_up(world, encoding):
    with world.client(encoding) as client:
        _, started = begin(client, world, "submit")
        waiting = client.send({"login_wait": {"login": started["login"]}})
        client.event(waiting, "login_progress")
        client.cancel(waiting)
        ended(client, waiting, "cancelled")
        _, started = begin(client, world, "submit")
        waiting = client.send({"login_wait": {"login": started["login"]}})
        client.event(waiting, "login_progress")
        assert client.ask({"login_cancel": {"login": started["login"]}}) == "done"
        ended(client, waiting, "cancelled", "login_cancelled")


def ended(client, number, *codes):
    try:
        raise AssertionError(f"it ended with {client.answer(number)}")
    except Refused as error:
        assert error.code in codes, error


@check(encodings=EACH, changes=True)
def secret_that_is_none_is_refused_and_asked_for_again(world, encoding):
    with world.client(encoding) as client:
        provider, started = begin(client, world, "submit")
        for bad in ("", "x" * (64 * 1024 + 1), "with\nline end"):
            refused(client, {"login_submit": {"login": started["login"], "secret": bad}}, "invalid_secret")
        client.ask({"login_cancel": {"login": started["login"]}})


# --- watching -------------------------------------------------------------------------------------

@check(encodings=EACH, changes=True)
def events_are_heard(world, encoding):
    with world.client(encoding) as listener, world.client(encoding) as client:
        every = listener.send("subscribe")
        follow = listener.send({"log_follow": {"lines": 3, "provider": None, "run": None}})
        listener.ask("status")
        provider, started = begin(client, world, "submit")
        try:
            client.ask({"login_submit": {"login": started["login"], "secret": secret()}})
            about = lambda event: world.connection in event["line"]
            line = listener.event(follow, "audit", about)["line"]
            assert json.loads(line), line
        finally:
            forget(client, world, provider)
        listener.event(every, "connection_changed", lambda event: event["connection"] == world.connection)
        for number in (every, follow):
            listener.cancel(number)
            assert listener.answer(number) == "done"
        lines = client.ask({"log": {"lines": 50, "provider": provider, "run": None}})["log"]["lines"]
        assert any(world.connection in line for line in lines)
        assert client.ask("log_verify")["log_verified"]["broken"] is None


# --- runs -----------------------------------------------------------------------------------------

START = {"connections": [], "only": [], "unmatched": None, "variables": [], "life": "process", "project": None,
         "environment": [], "program": "conformance"}


def fill(world, name, values):
    """The fields of a request as the document lists them; what is not said is absent."""
    fields = dict(world.document.types["request"][1])[name][1]
    return {field: values.get(field) for field, _ in fields}


@check(encodings=EACH, changes=True)
def run_is_started_seen_and_over_with_its_process(world, encoding):
    with world.client(encoding) as listener:
        hearing = listener.send("subscribe")
        listener.ask("status")
        # the run is the asking process': a process of its own, so that we stay outside
        word = next(name for name, number in BOTH.items() if number == encoding)
        child = subprocess.Popen([sys.executable, __file__, "--socket", world.socket, "--child", word],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        told = json.loads(child.stdout.readline())
        try:
            assert "error" not in told, told
            run = told["started"]["run"]
            listener.event(hearing, "run_started", lambda event: event["run"] == run)
            assert told["me"]["run"] == run, told
            assert told["refused"] == "refused_inside_run", told
            names = dict(told["started"]["set"])
            assert any(name.lower() == "https_proxy" for name in names), names
            (living,) = [item for item in listener.ask("runs")["runs"] if item["run"] == run]
            assert living["pid"] == child.pid and living["program"] == "conformance", living
        finally:
            child.stdin.close()
            child.wait(10)
        assert listener.event(hearing, "run_ended", lambda event: event["run"] == run)["why"] == "process_ended"
        assert run not in [item["run"] for item in listener.ask("runs")["runs"]]


@check(encodings=EACH, changes=True)
def run_is_stopped(world, encoding):
    word = next(name for name, number in BOTH.items() if number == encoding)
    with world.client(encoding) as client:
        child = subprocess.Popen([sys.executable, __file__, "--socket", world.socket, "--child", word],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            run = json.loads(child.stdout.readline())["started"]["run"]
            hearing = client.send("subscribe")
            assert client.ask({"run_stop": {"run": run}}) == "done"
            assert client.event(hearing, "run_ended", lambda event: event["run"] == run)["why"] == "stopped"
        finally:
            child.stdin.close()
            child.wait(10)


def be_a_run(world, encoding):
    """The child: starts a run for itself, tells what it was told, and waits for the end of its input."""
    try:
        with world.client(encoding) as client:
            started = client.ask({"run_start": fill(world, "run_start", START)})["run_started"]
        with world.client(encoding) as client:
            me = client.ask("who_am_i")["who_am_i"]
            try:
                client.ask({"logout": {"provider": "no-such-provider", "connection": None}})
                code = "answered"
            except Refused as error:
                code = error.code
        told = {"started": started, "me": me, "refused": code}
    except Exception as error:  # the parent tells
        told = {"error": repr(error)}
    print(json.dumps(told), flush=True)
    sys.stdin.read()


# --- crowds ---------------------------------------------------------------------------------------

@check(own=True)
def crowd_does_not_shut_others_out(world):
    crowd = []
    try:
        for _ in range(400):
            try:
                crowd.append(world.client(BINCODE))
            except (Closed, BlockingIOError):
                pass
        assert len(crowd) >= 200, f"only {len(crowd)} were let in"
        deadline = time.monotonic() + 10
        while True:
            try:
                world.alive()
                break
            except Closed:
                assert time.monotonic() < deadline, "nobody is served beside a crowd that does nothing"
                time.sleep(0.1)
    finally:
        for client in crowd:
            client.socket.close()
    world.alive()


# --- running them ---------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket", help="the control socket of a daemon that runs")
    parser.add_argument("--changes", action="store_true", help="log in and start runs on that daemon, too")
    parser.add_argument("--throw-away", action="store_true", help="nobody needs that daemon: crowd it, too")
    parser.add_argument("--daemon", default="authsomed", help="the program to start where no socket is named")
    parser.add_argument("--golden", type=pathlib.Path, help="the folder of the golden messages")
    parser.add_argument("--only", metavar="TEXT", action="append", help="checks whose name has TEXT; may be repeated")
    parser.add_argument("--quick", action="store_true", help="leave out checks that wait for deadlines")
    parser.add_argument("--list", action="store_true", help="name the checks")
    parser.add_argument("--child", choices=BOTH, help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = [entry for entry in CHECKS if not options.only or any(text in entry[0] for text in options.only)]
    if options.list:
        print("\n".join(entry[0] for entry in chosen))
        return 0
    world = World(options)
    if options.child:
        be_a_run(world, BOTH[options.child])
        return 0
    if not chosen:
        raise SystemExit("no check has such a name")
    try:
        return 1 if run(world, chosen, options) else 0
    finally:
        world.stop()


def run(world, chosen, options):
    print(f"TAP version 14\n1..{len(chosen)}", flush=True)
    failed = 0
    foreign = world.home is None
    precious = foreign and not options.throw_away
    for index, (name, function, encoding, changes, slow, own) in enumerate(chosen, 1):
        skip = ("it changes something" if changes and foreign and not options.changes else
                "it would shut others out" if own and precious else
                "it waits for a deadline" if slow and options.quick else None)
        if skip:
            print(f"ok {index} {name} # SKIP {skip}", flush=True)
            continue
        begin = time.monotonic()
        try:
            function(world) if encoding is None else function(world, encoding)
            print(f"ok {index} {name} # {time.monotonic() - begin:.2f} s", flush=True)
        except Exception as error:
            failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")[:1000]
            print(f"not ok {index} {name}\n  ---\n  reason: {reason}\n  at: {where.filename}:{where.lineno}\n  ...",
                  flush=True)
    print(f"# {len(chosen) - failed} of {len(chosen)} passed", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
