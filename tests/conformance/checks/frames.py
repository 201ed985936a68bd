"""Frames, ids and limits."""
import json
import random
import time

from wire import BINCODE, Closed, FRAME_MAX, JSON, Refused
from world import EACH, check, explain, refused, status


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
