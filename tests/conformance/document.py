"""The messages as docs/protocol.md lists them: its tables, read as types.

A type is one of
    ("plain", name)                text, bool, numbers, names
    ("optional", type)  ("list", type)  ("tuple", [types])
    ("fields", [(name, type)])     a structure
    ("words", [(word, type or None)])   a variant, in the order of its numbers
    ("named", name)                one of the above, by name
"""
import pathlib
import re

PLAIN = {"text", "time", "bool", "byte", "u16", "u32", "u64", "i64", "secret", "variable",
         "provider", "connection", "login", "run", "webhook"}
# the second cell of a table's head, and what its rows are the words of
TABLES = {"from the client": "client frame", "from the daemon": "daemon frame", "request": "request",
          "answer": "answer", "event": "event", "step": "step", "asks": "asks", "handed": "handed",
          "code": "code"}


class Document:
    """All types of the document."""

    def __init__(self, text):
        self.types = {}
        self.inside_run = {}
        head = None
        for line in text.splitlines():
            if not line.startswith("|"):
                head = None
                continue
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if head is None:
                head = cells
            elif not set("".join(cells)) <= set("-: "):
                self.row(head, cells)
        self.types["result"] = ("words", [("Ok", ("named", "answer")), ("Err", ("named", "*error*"))])
        self.check()

    def row(self, head, cells):
        if head[0] == "number" and head[1] in TABLES:
            words = self.types.setdefault(TABLES[head[1]], ("words", []))[1]
            assert cells[0] == str(len(words)), f"{head[1]} number {cells[0]} is out of order"
            word = cells[1].strip("`")
            words.append((word, None if head[2] == "means" else payload(cells[2])))
            if head[1] == "request":
                self.inside_run[word] = cells[4]
        elif head == ["type", "words"]:
            self.types[cells[0].strip("`")] = ("words", Reader(cells[1]).words())
        elif head == ["structure", "fields"]:
            self.types[cells[0]] = Reader(cells[1]).fields("")

    def resolve(self, kind):
        return self.types[kind[1]] if kind[0] == "named" else kind

    def check(self):
        """Every name that is used is described."""
        def visit(kind):
            if kind is None or kind[0] == "plain":
                return
            if kind[0] == "named":
                assert kind[1] in self.types, f"the document does not say what {kind[1]} is"
            elif kind[0] in ("optional", "list"):
                visit(kind[1])
            elif kind[0] == "tuple":
                [visit(part) for part in kind[1]]
            else:
                [visit(part) for _, part in kind[1]]
        [visit(kind) for kind in self.types.values()]

    def words(self, name):
        return [word for word, _ in self.types[name][1]]


def payload(cell):
    """A cell of fields: nothing, fields, or one type with words for people behind it."""
    if not cell:
        return None
    reader = Reader(cell)
    if cell.startswith("`"):
        return reader.fields("")
    return reader.kind()


class Reader:
    def __init__(self, text):
        self.rest = text.strip()

    def take(self, pattern):
        match = re.match(pattern, self.rest)
        if match:
            self.rest = self.rest[match.end():].lstrip()
        return match

    def need(self, pattern):
        match = self.take(pattern)
        assert match, f"expected {pattern} before {self.rest!r}"
        return match

    def fields(self, end):
        """`name`: type, …; up to `end`."""
        fields = []
        while True:
            name = self.need(r"`(\w+)`").group(1)
            kind = self.kind() if self.take(":") else self.optional(named(name))
            fields.append((name, kind))
            if not self.take(","):
                break
        if end:
            self.need(end)
        else:
            assert not self.rest, f"left over: {self.rest!r}"
        return ("fields", fields)

    def words(self):
        words = []
        while True:
            word, number = self.need(r"`(\w+)` \((\d+)\)").groups()
            assert int(number) == len(words), f"{word} is out of order"
            has = self.rest and not self.rest.startswith(",")
            words.append((word, self.kind() if has else None))
            if not self.take(","):
                assert not self.rest, f"left over: {self.rest!r}"
                return words

    def kind(self):
        if self.take(r"\["):
            kind = ("list", self.kind())
            self.need(r"\]")
        elif self.take(r"\("):
            parts = [self.kind()]
            while self.take(","):
                parts.append(self.kind())
            self.need(r"\)")
            kind = ("tuple", parts)
        elif self.take(r"\{"):
            kind = self.fields(r"\}")
        else:
            kind = named(self.need(r"\*?\w+\*?").group(0))
        return self.optional(kind)

    def optional(self, kind):
        return ("optional", kind) if self.take(r"\?") else kind


def named(name):
    return ("plain", name) if name in PLAIN else ("named", name)


def load():
    here = pathlib.Path(__file__).resolve()
    for folder in [here.parent, *here.parents]:
        for path in (folder / "protocol.md", folder / "docs" / "protocol.md"):
            if path.is_file():
                return Document(path.read_text(encoding="utf-8")), path.parent
    raise SystemExit("docs/protocol.md is not here")
