"""make_wheel.py FOLDER: the smallest package that pip takes, for the registry of the client test."""

import pathlib
import sys
import zipfile

NAME = "stand_in-1.0-py3-none-any.whl"
INFO = "stand_in-1.0.dist-info"
FILES = {
    "stand_in.py": "",
    f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: stand-in\nVersion: 1.0\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: make_wheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
FILES[f"{INFO}/RECORD"] = "".join(f"{name},,\n" for name in [*FILES, f"{INFO}/RECORD"])

with zipfile.ZipFile(pathlib.Path(sys.argv[1]) / NAME, "w") as wheel:
    for name, content in FILES.items():
        wheel.writestr(name, content)
