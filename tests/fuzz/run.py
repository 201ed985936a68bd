#!/usr/bin/env python3
"""Runs a fuzz target on its saved inputs, and saves new ones.

    tests/fuzz/run.py TARGET [RUNS]      fuzz, 10 million executions unless said otherwise
    tests/fuzz/run.py TARGET --save      write what was found, minimised, to corpus/TARGET.txt

Needs `cargo install cargo-fuzz`. A finding ends the run and lies in `artifacts/TARGET/`.
"""
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = sorted(path.stem for path in (HERE / "fuzz_targets").glob("*.rs"))
# what the project has anyway; tests/tests/corpus.rs replays the same
SEEDS = {"ipc_frame": "proto/golden/v1/*", "provider_json": "daemon/providers/*.json"}
# the longest message of the seeds is cut off otherwise, and then it is none
LONGEST = {"ipc_frame": 1500}
# of five changes at once one breaks a message for sure, and what is behind the decoder is never seen
CHANGES = {"ipc_frame": 2}
# the address sanitizer costs ten times the speed, and there is no `unsafe` in what is fuzzed
BUILD = ["--fuzz-dir", str(HERE), "--sanitizer", "none"]


def main(target, what="10000000"):
    folder = HERE / "target" / "corpus" / target
    saved = HERE / "corpus" / f"{target}.txt"
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs(saved.read_text())):
        (folder / f"saved-{number}").write_bytes(data)
    for path in HERE.parents[1].glob(SEEDS.get(target, "none/*")):
        (folder / path.name).write_bytes(path.read_bytes())
    if what == "--save":
        fuzz("cmin", *BUILD, target, str(folder))
        head = [line for line in saved.read_text().splitlines() if line.startswith("#")]
        lines = sorted({line(path.read_bytes()) for path in folder.iterdir()} - {""})
        saved.write_text("\n".join(head + lines) + "\n")
        return
    begin = time.monotonic()
    words = folder.with_suffix(".dict")
    words.write_text("\n".join(dictionary(folder)) + "\n")
    options = [f"-runs={what}", f"-max_len={LONGEST.get(target, 400)}", f"-dict={words}",
               f"-mutate_depth={CHANGES.get(target, 5)}", "-timeout=5", "-malloc_limit_mb=64",
               "-print_final_stats=1"]
    fuzz("run", *BUILD, target, str(folder), "--", *options)
    print(f"{target}: {what} executions without a finding in {time.monotonic() - begin:.0f} s")


def fuzz(command, *arguments):
    # instrumentation is for unstable compilers; this lets the stable one do it
    environment = dict(os.environ, RUSTC_BOOTSTRAP="1")
    done = subprocess.run(["cargo", "fuzz", command, *arguments], cwd=HERE, env=environment)
    if done.returncode:
        sys.exit(done.returncode)


def dictionary(folder):
    """The words of the inputs that are JSON: a fuzzer does not guess `"login_started"`."""
    words = set()
    for path in folder.glob("*.json"):
        words |= set(re.findall(rb'"[a-z_A-Z]+":?', path.read_bytes()))
    return sorted('"' + word.decode().replace('"', '\\"') + '"' for word in words)


def inputs(text):
    """The inputs of a list; `src/corpus.rs` reads the same."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            first, *rest = line.split("\\x")
            yield first.encode() + b"".join(bytes.fromhex(r[:2]) + r[2:].encode() for r in rest)


def line(data):
    plain = lambda byte: 0x20 <= byte < 0x7F and byte not in b"\\#"
    return "".join(chr(byte) if plain(byte) else f"\\x{byte:02x}" for byte in data)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in TARGETS:
        sys.exit(f"{__doc__}\ntargets: {', '.join(TARGETS)}")
    main(*sys.argv[1:])
