"""What goes over the socket, as docs/protocol.md has it: places, frames, the opening, two encodings."""
import json
import os
import re
import socket
import stat
import struct
import time

MAGIC = b"AUTHSOME"
BINCODE, JSON = 1, 2
FRAME_MAX = 1 << 20
WIDTHS = {"u16": 16, "u32": 32, "u64": 64}
NAMES = {"provider", "login", "run", "webhook"}


# --- finding the daemon ---------------------------------------------------------------------------

def find(environment=os.environ):
    """The control socket of this environment's home."""
    def absolute(name):
        value = environment.get(name) or None
        assert value is None or value.startswith("/"), f"{name} must be absolute"
        return value

    ordinary = os.path.join(absolute("HOME"), ".authsome") if absolute("HOME") else None
    home = absolute("AUTHSOME_HOME") or ordinary
    assert home, "neither AUTHSOME_HOME nor HOME is set"
    noted = read_note(os.path.join(home, "daemon.lock"))
    if noted:
        return noted
    uid, base = os.getuid(), absolute("XDG_RUNTIME_DIR")
    if not base:
        base = f"/run/user/{uid}"
        try:
            meta = os.lstat(base)
            base = base if stat.S_ISDIR(meta.st_mode) and meta.st_uid == uid else None
        except OSError:
            base = None
    if not base:
        runtime = os.path.join(home, "run")
    elif home == ordinary:
        runtime = os.path.join(base, "authsome")
    else:
        runtime = os.path.join(base, f"authsome-{fnv(os.fsencode(home)):016x}")
    return os.path.join(runtime, "control.sock")


def read_note(path):
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(file) as lock:
        meta = os.fstat(lock.fileno())
        assert stat.S_ISREG(meta.st_mode) and meta.st_uid == os.getuid(), f"{path} is not ours"
        match = re.fullmatch(r"pid (\d+)\nsocket (.+)\n", lock.read())
        return match and match.group(2)


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def check_folder(path):
    meta = os.lstat(os.path.dirname(path))
    assert stat.S_ISDIR(meta.st_mode), f"{path}: its folder is no folder"
    assert meta.st_uid == os.getuid(), f"{path}: its folder is somebody else's"
    assert meta.st_mode & 0o022 == 0, f"{path}: others can write to its folder"


# --- one connection -------------------------------------------------------------------------------

class Closed(Exception):
    """The daemon hung up."""


class Stream:
    """A connection that has not greeted yet."""

    def __init__(self, path, timeout=10):
        check_folder(path)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        try:
            peer = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        except OSError as error:
            raise Closed(str(error))
        self.peer_pid, uid, _ = struct.unpack("iII", peer)
        assert uid == os.getuid(), f"the daemon is user {uid}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def write(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed(str(error))

    def read(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionResetError as error:
                raise Closed(str(error))
            if not piece:
                raise Closed(f"after {len(data)} of {count} bytes")
            data += piece
        return data

    def write_frame(self, payload):
        self.write(struct.pack(">I", len(payload)) + payload)

    def read_frame(self):
        (length,) = struct.unpack(">I", self.read(4))
        assert length <= FRAME_MAX, f"the daemon sends a frame of {length} bytes"
        return self.read(length)

    def seconds_until_closed(self, at_most):
        """Reads and throws away until the daemon hangs up; how long that took."""
        begin = time.monotonic()
        while True:
            left = at_most - (time.monotonic() - begin)
            assert left > 0, f"not closed after {at_most} s"
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65536):
                    return time.monotonic() - begin
            except ConnectionResetError:
                return time.monotonic() - begin
            except TimeoutError:
                pass


def hello(encoding, lowest=1, highest=1, build=b"conformance"):
    return MAGIC + struct.pack(">HHBB", lowest, highest, encoding, len(build)) + build


def read_hello(payload):
    assert payload[:8] == MAGIC, f"no greeting: {payload!r}"
    lowest, highest, encoding, length = struct.unpack(">HHBB", payload[8:14])
    build = payload[14:14 + length]
    assert len(build) == length, "the build text is cut short"
    return lowest, highest, encoding, build.decode()


class Refused(Exception):
    """The daemon answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.error, self.code = error, error["code"]


class Client(Stream):
    """A connection that has greeted."""

    def __init__(self, path, encoding, codec, timeout=10):
        super().__init__(path, timeout)
        self.encoding, self.codec, self.last = encoding, codec, 0
        self.events, self.answers = [], {}
        self.write_frame(hello(encoding))
        self.lowest, self.highest, accepted, self.build = read_hello(self.read_frame())
        assert accepted == encoding, f"encoding {accepted} instead of {encoding}"
        assert min(self.highest, 1) >= max(self.lowest, 1), "version 1 is not spoken"

    def encode(self, message):
        if self.encoding == JSON:
            return json.dumps(message).encode()
        return self.codec.encode(("named", "client frame"), message)

    def decode(self, payload):
        if self.encoding == JSON:
            message = json.loads(payload)
        else:
            message = self.codec.decode(("named", "daemon frame"), payload)
        self.codec.valid(message)
        return message

    def send(self, request, number=None):
        """Asks, and does not wait; tells the id."""
        if number is None:
            self.last += 1
            number = self.last
        self.write_frame(self.encode({"request": {"id": number, "request": request}}))
        return number

    def cancel(self, number):
        self.write_frame(self.encode({"cancel": {"id": number}}))

    def hear(self):
        """Takes the next frame."""
        message = self.decode(self.read_frame())
        if "answer" in message:
            answer = message["answer"]
            assert answer["id"] not in self.answers, "answered twice"
            self.answers[answer["id"]] = answer["result"]
        else:
            self.events.append((message["event"]["id"], message["event"]["event"]))

    def answer(self, number):
        while number not in self.answers:
            self.hear()
        result = self.answers[number]
        if "Err" in result:
            raise Refused(result["Err"])
        return result["Ok"]

    def ask(self, request):
        return self.answer(self.send(request))

    def event(self, number, name, fits=lambda event: True):
        """Waits for an event of a request; those before it are thrown away."""
        while True:
            while self.events:
                of, event = self.events.pop(0)
                if of == number and name in event and fits(event[name]):
                    return event[name]
            self.hear()


# --- bincode --------------------------------------------------------------------------------------

class Codec:
    """bincode by the tables of the document; what comes out has the shape of the JSON encoding."""

    def __init__(self, document, validate=lambda message: None):
        self.document, self.valid = document, validate

    def encode(self, kind, value):
        out = bytearray()
        self.put(out, kind, value)
        return bytes(out)

    def put(self, out, kind, value):
        what, inner = kind = self.document.resolve(kind)
        if what == "plain":
            if inner == "bool":
                out.append(int(value))
            elif inner == "byte":
                out.append(value)
            elif inner in WIDTHS:
                out += number(value)
            elif inner == "i64":
                out += number(2 * value if value >= 0 else -2 * value - 1)
            else:
                text = value.encode()
                out += number(len(text)) + text
        elif what == "optional":
            out.append(int(value is not None))
            if value is not None:
                self.put(out, inner, value)
        elif what == "list":
            out += number(len(value))
            for item in value:
                self.put(out, inner, item)
        elif what == "tuple":
            assert len(value) == len(inner)
            for part, item in zip(inner, value):
                self.put(out, part, item)
        elif what == "fields":
            assert set(value) == {name for name, _ in inner}, f"{set(value)} for {inner}"
            for name, part in inner:
                self.put(out, part, value[name])
        else:
            word, has = (value, None) if isinstance(value, str) else next(iter(value.items()))
            index = next(i for i, (name, _) in enumerate(inner) if name == word)
            out += number(index)
            part = inner[index][1]
            assert (part is None) == isinstance(value, str), f"{word} and its fields"
            if part is not None:
                self.put(out, part, has)

    def decode(self, kind, data):
        reader = Bytes(data)
        value = self.get(reader, kind)
        assert reader.at == len(data), f"{len(data) - reader.at} bytes left over"
        return value

    def get(self, data, kind):
        what, inner = self.document.resolve(kind)
        if what == "plain":
            if inner == "bool":
                return bool(data.flag())
            if inner == "byte":
                return data.take(1)[0]
            if inner in WIDTHS:
                value = data.number()
                assert value < 1 << WIDTHS[inner], f"{value} is no {inner}"
                return value
            if inner == "i64":
                value = data.number()
                return value // 2 if value % 2 == 0 else -(value + 1) // 2
            return data.take(data.number()).decode()
        if what == "optional":
            return self.get(data, inner) if data.flag() else None
        if what == "list":
            return [self.get(data, inner) for _ in range(data.number())]
        if what == "tuple":
            return [self.get(data, part) for part in inner]
        if what == "fields":
            return {name: self.get(data, part) for name, part in inner}
        word, part = inner[data.number()]
        return word if part is None else {word: self.get(data, part)}


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at:self.at + count]
        assert len(piece) == count, "it ends early"
        self.at += count
        return piece

    def flag(self):
        value = self.take(1)[0]
        assert value < 2, f"{value} where 0 or 1 belongs"
        return value

    def number(self):
        first = self.take(1)[0]
        if first < 251:
            return first
        width = {251: 2, 252: 4, 253: 8}[first]
        value = int.from_bytes(self.take(width), "little")
        assert number(value)[0] == first, "a number longer than it needs to be"
        return value


def number(value):
    for marker, width in ((251, 2), (252, 4), (253, 8)):
        if value < 251:
            return bytes([value])
        if value < 1 << 8 * width:
            return bytes([marker]) + value.to_bytes(width, "little")
    raise ValueError(value)
