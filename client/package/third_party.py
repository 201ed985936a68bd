#!/usr/bin/env python3
"""Prints the licence texts of the crates that are compiled into the two programs.

Most of these licences ask that their text goes along with the program. The text is taken from the
crate's own archive; a crate that ships none is named with the licence it declares.

usage: client/package/third_party.py
"""
import hashlib
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = ("authsome", "authsomed")
TEXT = re.compile(r"(?i)^(un)?(licen[sc]e|copying|copyright|notice)")


def metadata():
    host = re.search("host: (.*)", subprocess.check_output(["rustc", "-vV"], text=True)).group(1)
    words = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", host]
    return json.loads(subprocess.check_output(words, cwd=ROOT))


def compiled_in(meta):
    """Packages that the programs are linked from: neither build nor test dependencies."""
    nodes = {node["id"]: node for node in meta["resolve"]["nodes"]}
    packages = {package["id"]: package for package in meta["packages"]}
    waiting = [p["id"] for p in meta["packages"] if p["name"] in PROGRAMS and p["source"] is None]
    if len(waiting) != len(PROGRAMS):
        sys.exit("error: the programs' packages are not in the workspace")
    found = set(waiting)
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            linked = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            kinds = {kind for target in packages[dependency["pkg"]]["targets"] for kind in target["kind"]}
            if linked and "proc-macro" not in kinds and dependency["pkg"] not in found:
                found.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    others = (packages[one] for one in found if packages[one]["source"] is not None)
    return sorted(others, key=lambda package: (package["name"], package["version"]))


def texts(package):
    folder = os.path.dirname(package["manifest_path"])
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if TEXT.match(name) and os.path.isfile(path) and not name.endswith((".rs", ".toml", ".html")):
            with open(path, encoding="utf-8", errors="replace") as file:
                yield file.read().strip().replace("\r\n", "\n")


def main():
    users = {}
    content = {}
    without = []
    for package in compiled_in(metadata()):
        title = f"{package['name']} {package['version']} ({package['license'] or 'see the text'})"
        found = list(texts(package))
        if not found:
            without.append(title)
        for text in found:
            # the same text in other line breaks is the same text
            key = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            content.setdefault(key, text)
            users.setdefault(key, []).append(title)
    print("The programs authsome and authsomed contain these libraries under these licences.")
    for key in sorted(content, key=lambda key: users[key]):
        print("\n" + "=" * 78)
        print("\n".join(dict.fromkeys(users[key])))
        print("-" * 78 + "\n" + content[key])
    if without:
        print("\n" + "=" * 78 + "\nThese came without a text of their licence:\n" + "\n".join(without))


main()
