"""How a connection begins."""
import json
import time

from wire import BINCODE, Closed, FRAME_MAX, JSON, hello, read_hello
from world import EACH, check, status


@check(encodings=EACH)
def opening_is_answered(world, encoding):
    with world.stream() as stream:
        stream.write_frame(hello(encoding))
        lowest, highest, accepted, build = read_hello(stream.read_frame())
        assert accepted == encoding and lowest <= 1 <= highest and build
        stream.write_frame(world.codec.encode(("named", "client frame"), status(1))
                           if encoding == BINCODE else json.dumps(status(1)).encode())
        assert stream.read_frame()


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
