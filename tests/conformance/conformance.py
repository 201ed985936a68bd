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
import pathlib
import re
import sys
import time
import traceback

# each enters its checks, in this order
from checks import documents, opening, frames, looking, logins, events, runs, crowd  # noqa: F401
from world import BOTH, CHECKS, World


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
        runs.be_a_run(world, BOTH[options.child])
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
