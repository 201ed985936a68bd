"""What the checks are about, and what they share."""
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile

import document
import schema
import wire
from wire import BINCODE, Client, JSON, Refused, Stream

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


def status(number):
    return {"request": {"id": number, "request": "status"}}


def explain(url):
    return {"method": "GET", "url": url, "run": None, "connections": [], "project": None}


def refused(client, request, *codes):
    try:
        answer = client.ask(request)
    except Refused as error:
        assert error.code in codes, f"{error.code} instead of {codes}"
        return error
    raise AssertionError(f"{request} was answered with {str(answer)[:200]}")


def only_word(value):
    return value if isinstance(value, str) else next(iter(value))
