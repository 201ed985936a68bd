#!/usr/bin/env python3
"""Measures direct, the floor, authsome and mitmproxy in one interleaved run; see README.md.

usage: tests/bench/run.py [--rounds 3] [--seconds 2] [--peers direct,floor,authsome,mitmproxy] [--json FILE]
                          [--other FOLDER]
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BENCH = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(BENCH))
HOST = "api.intercom.io"
TOKEN = "bench-token-0123456789"
TICK = os.sysconf("SC_CLK_TCK")


class World:
    """Everything that was started, in a throw-away folder, and stopped by pid in the end."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="as-bench-", dir="/tmp")
        # in memory, as a login session's runtime folder is
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else self.folder
        self.runtime = tempfile.mkdtemp(prefix="as-bench-", dir=memory)
        self.started = []
        main, bench = f"{ROOT}/target/release", f"{BENCH}/target/release"
        self.authsome, self.standin = f"{main}/authsome", f"{main}/authsome-standin"
        self.load, self.floor = f"{bench}/authsome-bench-load", f"{bench}/authsome-bench-floor"
        self.homes = []
        os.mkdir(f"{self.folder}/user", 0o700)
        self.env = {
            "PATH": "/usr/bin:/bin", "HOME": f"{self.folder}/user", "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": self.runtime, "TMPDIR": self.folder,
        }

    def start(self, name, words, env=None, wait="listening "):
        log = open(f"{self.folder}/{name}.log", "w+")
        # a scheduler group of its own with more weight, where root may: neighbours cost less then
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log,
                                   env={**self.env, **(env or {})}, start_new_session=True)
        weigh(process.pid)
        self.started.append(process)
        end = time.time() + 30
        while wait and wait not in open(log.name).read():
            if process.poll() is not None or time.time() > end:
                sys.exit(f"{name} did not start:\n{open(log.name).read()}")
            time.sleep(0.02)
        return process, open(log.name).read()

    def run(self, words, **more):
        return subprocess.run(words, env=self.env, check=True, capture_output=True, text=True, **more)

    def stop(self):
        for home in self.homes:
            home.stop()
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
        shutil.rmtree(self.runtime, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Home:
    """A home of authsome, with a connection to the upstream and the programs that serve it."""

    def __init__(self, world, name, authsome, upstream, upstream_ca):
        self.folder, self.authsome = f"{world.folder}/{name}", authsome
        # the same environment for the program under `run`, but that it finds these programs
        self.env = {**world.env, "PATH": f"{os.path.dirname(authsome)}:{world.env['PATH']}",
                    "AUTHSOME_HOME": self.folder}
        world.homes.append(self)
        os.mkdir(self.folder, 0o700)
        with open(f"{self.folder}/config.toml", "w") as config:
            config.write(f'[vault]\nstore = "file"\n[upstream]\nextra_ca = ["{upstream_ca}"]\n'
                         f'[upstream.resolve]\n"{HOST}:443" = "{upstream}"\n')
        self.say("login", "intercom", "--stdin", input=TOKEN)
        weigh(self.pid())

    def say(self, *words, **more):
        return subprocess.run([self.authsome, *words], env=self.env, check=True, capture_output=True, text=True, **more)

    def pid(self):
        with open(f"{self.folder}/daemon.lock") as lock:
            return int(lock.readline().split()[1])

    def stop(self):
        if os.path.exists(f"{self.folder}/daemon.lock"):
            subprocess.run([self.authsome, "daemon", "stop"], env=self.env, capture_output=True)


def weigh(pid):
    try:
        with open(f"/proc/{pid}/autogroup", "w") as group:
            group.write("-15")
    except OSError:
        pass


def cpu(pid):
    """CPU seconds that a process has used, all threads."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


class Peer:
    """One way from the load generator to the upstream."""

    def __init__(self, world, name, target, pid=None, home=None):
        self.world, self.name, self.target, self.pid, self.home = world, name, target, pid, home
        self.env = home.env if home else world.env
        self.prefix = [home.authsome, "run", "--"] if home else []

    def load(self, mode, path, *words):
        command = [*self.prefix, self.world.load, mode, "--url", f"https://{HOST}{path}", *self.target, *words]
        before = cpu(self.pid()) if self.pid else 0
        try:
            done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60,
                                  start_new_session=True, preexec_fn=lambda: weigh(os.getpid()))
        except subprocess.TimeoutExpired:
            return {"count": 0, "errors": 1, "error": f"{mode}: no end", "cpu_us": 0}
        if done.returncode:
            return {"count": 0, "errors": 1, "error": done.stderr.strip(), "cpu_us": 0}
        result = json.loads(done.stdout)
        used = (cpu(self.pid()) if self.pid else 0) - before
        result["cpu_us"] = used * 1e6 / max(result["count"], 1)
        return result


def peers(world, wanted, other):
    """Starts the upstream and every peer."""
    upstream_ca = f"{world.folder}/upstream-ca.pem"
    _, said = world.start("standin", [world.standin, "--name", HOST, "--token", TOKEN, "--http1",
                                      "--ca-out", upstream_ca], wait="ca ")
    upstream = said.split("listening ")[1].split()[0]
    direct = ["--dial", upstream, "--ca", upstream_ca, "--token", TOKEN]
    found = {"direct": Peer(world, "direct", direct)}
    if "floor" in wanted:
        ca = f"{world.folder}/floor-ca.pem"
        process, said = world.start("floor", [world.floor, upstream, upstream_ca, TOKEN, ca])
        address = said.split("listening ")[1].split()[0]
        found["floor"] = Peer(world, "floor", ["--proxy", f"http://{address}", "--ca", ca],
                              lambda: process.pid)
    for name, authsome in (("authsome", world.authsome), ("other", other and f"{os.path.abspath(other)}/authsome")):
        if name in wanted and authsome:
            home = Home(world, name, authsome, upstream, upstream_ca)
            found[name] = Peer(world, name, ["--proxy", "env", "--ca", "env"], home.pid, home)
    if "mitmproxy" in wanted:
        found.update(mitmproxy(world, upstream, upstream_ca))
    return found


def mitmproxy(world, upstream, upstream_ca):
    program = mitmdump()
    if not program:
        print("mitmproxy could not be installed: left out", file=sys.stderr)
        return {}
    port = 20000 + os.getpid() % 8000
    configuration = f"{world.folder}/mitmproxy"
    process, _ = world.start(
        "mitmproxy",
        [program, "-q", "--listen-host", "127.0.0.1", "--listen-port", str(port),
         "--set", f"confdir={configuration}", "--set", f"ssl_verify_upstream_trusted_ca={upstream_ca}",
         "--set", "connection_strategy=lazy", "-s", f"{BENCH}/inject.py"],
        {"BENCH_UPSTREAM": upstream, "BENCH_TOKEN": TOKEN}, wait="")
    ca = f"{configuration}/mitmproxy-ca-cert.pem"
    target = ["--proxy", f"http://127.0.0.1:{port}", "--ca", ca]
    peer = Peer(world, "mitmproxy", target, lambda: process.pid)
    end = time.time() + 30
    while not os.path.exists(ca) or peer.load("new", "/me", "--seconds", "0.1")["errors"]:
        if process.poll() is not None or time.time() > end:
            print(open(f"{world.folder}/mitmproxy.log").read(), file=sys.stderr)
            return {}
        time.sleep(0.2)
    return {"mitmproxy": peer}


def mitmdump():
    """The newest mitmproxy that the newest Python here can have, in a virtual environment."""
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "authsome-bench")
    program = f"{cache}/bin/mitmdump"
    if os.path.exists(program):
        return program
    pyenv = os.path.expanduser("~/.pyenv/versions")
    versions = sorted(os.listdir(pyenv), key=lambda v: [int(x) for x in v.split(".") if x.isdigit()]) \
        if os.path.isdir(pyenv) else []
    candidates = [f"{pyenv}/{version}/bin/python3" for version in reversed(versions)]
    candidates += [shutil.which(f"python3.{minor}") for minor in (14, 13, 12)] + [sys.executable]
    for python in filter(None, candidates):
        if subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"]).returncode:
            continue
        shutil.rmtree(cache, ignore_errors=True)
        for words in ([python, "-m", "venv", cache], [f"{cache}/bin/pip", "install", "-q", "mitmproxy"]):
            if subprocess.run(words, stdout=subprocess.DEVNULL).returncode:
                break
        if os.path.exists(program):
            return program
    return None


def measure(peer, seconds):
    s = str(seconds)
    return {
        "keep1": peer.load("keep", "/me", "--clients", "1", "--seconds", s),
        "keep32": peer.load("keep", "/me", "--clients", "32", "--seconds", s),
        "new1": peer.load("new", "/me", "--clients", "1", "--seconds", s),
        "new16": peer.load("new", "/me", "--clients", "16", "--seconds", s),
        "events": peer.load("events", "/sse?count=100&every=15", "--seconds", "4"),
    }


def agent(world):
    """A real ssh-agent with one key, and the command that asks it: what a thin call is compared with."""
    if not shutil.which("ssh-agent"):
        print("ssh-agent is missing: left out", file=sys.stderr)
        return {}
    key, socket = f"{world.folder}/key", f"{world.folder}/agent.sock"
    world.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    world.start("ssh-agent", ["ssh-agent", "-D", "-a", socket], wait="SSH_AUTH_SOCK")
    subprocess.run(["ssh-add", "-q", key], env={**world.env, "SSH_AUTH_SOCK": socket}, check=True)
    return {"ssh-add -l": [f"SSH_AUTH_SOCK={socket}", "/usr/bin/ssh-add", "-l"]}


def commands(world, homes):
    """Client calls, all in turns, and start-up; in milliseconds."""
    wanted = {"true": ["/bin/true"], **agent(world)}
    for name, home in homes.items():
        ours = [f"AUTHSOME_HOME={home.folder}", home.authsome]
        wanted.update({f"{name} --version": [*ours, "--version"], f"{name} status": [*ours, "status"],
                       f"{name} run -- true": [*ours, "run", "--", "/bin/true"]})
    words = [word for command in wanted.values() for word in (":::", *command)][1:]
    said = json.loads(world.run([world.load, "spawn", "--times", "200", "--", *words], start_new_session=True,
                                preexec_fn=lambda: weigh(os.getpid())).stdout)
    times = dict(zip(wanted, said))
    starts = {name: [] for name in homes}
    for _ in range(10):
        for name, home in homes.items():
            home.say("daemon", "stop")
            begun = time.monotonic()
            home.say("status")
            starts[name].append((time.monotonic() - begun) * 1e3)
    return {"p50": {name: one["p50_us"] / 1e3 for name, one in times.items()},
            "start": {name: statistics.median(times) for name, times in starts.items()},
            "errors": [one["error"] for one in times.values() if one["errors"]]}


def middle(rounds, peer, load, key):
    values = [one[peer][load].get(key, 0) for one in rounds if peer in one]
    return statistics.median(values) if values else 0


def ratio(rounds, peer, other, load, key):
    """Median of the ratios within each round: only what ran side by side is compared."""
    values = [one[peer][load].get(key, 0) / one[other][load][key] for one in rounds
              if one.get(other, {}).get(load, {}).get(key)]
    return statistics.median(values) if values else 0


def report(rounds, names, idle, client):
    others = [name for name in ("floor", "direct", "mitmproxy", "other") if name in names]

    def row(title, unit, load, key, digits=0):
        cells = [f"{middle(rounds, name, load, key):,.{digits}f}" for name in names]
        versus = [f"{ratio(rounds, 'authsome', other, load, key):.2f}" if "authsome" in names else ""
                  for other in others]
        print(f"| {title}, {unit} | " + " | ".join(cells + versus) + " |")

    print("\n| | " + " | ".join([*names, *(f"ours / {other}" for other in others)]) + " |")
    print("|---" * (len(names) + len(others) + 1) + "|")
    row("keep-alive, c=32", "req/s", "keep32", "per_second")
    row("keep-alive, c=1", "req/s", "keep1", "per_second")
    row("keep-alive, c=1, p50", "µs", "keep1", "p50_us")
    row("keep-alive, c=1, p99", "µs", "keep1", "p99_us")
    row("CPU of the proxy, c=32", "µs/req", "keep32", "cpu_us", 1)
    row("new connections, c=16", "conn/s", "new16", "per_second")
    row("new connection, c=1, p50", "µs", "new1", "p50_us")
    row("CPU of the proxy, new", "µs/conn", "new16", "cpu_us")
    row("event delay, p50", "µs", "events", "p50_us")
    row("event delay, p99", "µs", "events", "p99_us")
    errors = {name: sum(load["errors"] for one in rounds for load in one.get(name, {}).values()) for name in names}
    if any(errors.values()):
        print(f"\nerrors: {errors}", *{load["error"] for one in rounds for peer in one.values()
                                      for load in peer.values() if load.get("error")}, sep="\n  ")
    if "authsome" in names:
        added = middle(rounds, "authsome", "events", "p50_us") - middle(rounds, "direct", "events", "p50_us")
        print(f"\nadded delay of an event: {added / 1e3:.2f} ms")
    for name, before in idle.items():
        print(f"resident memory of {name}: {before['idle']:.1f} MiB idle, {before['after']:.1f} MiB after the load")
    if client:
        thin(client)


def thin(client):
    """Every command as a multiple of `true`, and as a part of `ssh-add -l`."""
    p50 = client["p50"]
    print("\n| command | p50, ms | × `true` | × `ssh-add -l` |\n|---|---|---|---|")
    for name, value in p50.items():
        versus = f"{value / p50['ssh-add -l']:.2f}" if "ssh-add -l" in p50 else ""
        print(f"| `{name}` | {value:.2f} | {value / p50['true']:.1f} | {versus} |")
    starts = "; ".join(f"{name} {took:.0f} ms" for name, took in client["start"].items())
    print(f"\n`status` with the daemon's start: {starts}")
    if client["errors"]:
        print(f"errors of commands: {client['errors']}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--peers", default="direct,floor,authsome,mitmproxy")
    parser.add_argument("--json", help="also write every figure here")
    parser.add_argument("--other", metavar="FOLDER",
                        help="programs of another build: measured as one more peer, `other`, named in --peers or not")
    wishes = parser.parse_args()
    wanted = wishes.peers.split(",")
    if wishes.other and "other" not in wanted:
        wanted.insert(wanted.index("authsome") + 1 if "authsome" in wanted else len(wanted), "other")
    world = World()
    # the end by a signal is an end too: what was started is stopped
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        all_peers = peers(world, wanted, wishes.other)
        names = [name for name in wanted if name in all_peers]
        idle = {name: {"idle": rss(peer.pid())} for name, peer in all_peers.items() if peer.pid}
        rounds = []
        for number in range(wishes.rounds):
            one = {}
            # the order changes: nobody always follows the heaviest
            for name in names[number % len(names):] + names[:number % len(names)]:
                one[name] = measure(all_peers[name], wishes.seconds)
                print(f"round {number + 1}: {name}: {one[name]['keep32'].get('per_second', 0):,.0f} req/s, "
                      f"{one[name]['keep32']['cpu_us']:.0f} µs", file=sys.stderr)
            rounds.append(one)
        for name, memory in idle.items():
            memory["after"] = rss(all_peers[name].pid())
        homes = {name: peer.home for name, peer in all_peers.items() if peer.home}
        client = commands(world, homes) if homes else None
        report(rounds, names, idle, client)
        if wishes.json:
            with open(wishes.json, "w") as out:
                json.dump({"rounds": rounds, "memory": idle, "client": client}, out, indent=1)
    finally:
        world.stop()


main()
