"""Runs."""
import json
import pathlib
import subprocess
import sys

from wire import Refused
from world import BOTH, EACH, check

# what a child is started with
PROGRAM = pathlib.Path(__file__).resolve().parents[1] / "conformance.py"
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
        child = subprocess.Popen([sys.executable, PROGRAM, "--socket", world.socket, "--child", word],
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
        child = subprocess.Popen([sys.executable, PROGRAM, "--socket", world.socket, "--child", word],
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
