"""A validator for the part of JSON Schema (2020-12) that docs/protocol.schema.json uses.

A keyword that it does not know is an error, so that nothing is passed over in silence. `jsonschema`
takes its place where that is installed.
"""
import re

SILENT = {"$schema", "$id", "$defs", "title", "description", "format", "writeOnly"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def validator(schema):
    """A function that raises an AssertionError for what is not valid."""
    try:
        import jsonschema
    except ImportError:
        return lambda value: check(schema, schema, value, "")
    real = jsonschema.Draft202012Validator(schema)

    def valid(value):
        errors = sorted(real.iter_errors(value), key=lambda error: len(error.path))
        assert not errors, f"not valid: {errors[0].message[:500]}"
    return valid


def check(root, schema, value, at):
    for keyword, wanted in schema.items():
        if keyword in SILENT:
            continue
        rule = RULES.get(keyword)
        assert rule, f"the schema uses {keyword}, which this validator does not know"
        rule(root, schema, wanted, value, at)


def fails(root, schema, value, at):
    try:
        check(root, schema, value, at)
        return None
    except AssertionError as error:
        return str(error)


def is_type(name, value):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def reference(root, schema, wanted, value, at):
    check(root, root["$defs"][wanted.removeprefix("#/$defs/")], value, at)


def types(root, schema, wanted, value, at):
    names = [wanted] if isinstance(wanted, str) else wanted
    assert any(is_type(name, value) for name in names), f"{at}: {value!r} is no {wanted}"


def one_of(root, schema, wanted, value, at):
    reasons = [fails(root, option, value, at) for option in wanted]
    fitting = reasons.count(None)
    assert fitting == 1, f"{at}: {fitting} of {len(wanted)} fit {str(value)[:200]}: {max(reasons, key=str)}"


def any_of(root, schema, wanted, value, at):
    reasons = [fails(root, option, value, at) for option in wanted]
    assert None in reasons, f"{at}: {reasons}"


def properties(root, schema, wanted, value, at):
    if isinstance(value, dict):
        for name, inner in wanted.items():
            if name in value:
                check(root, inner, value[name], f"{at}/{name}")


def additional(root, schema, wanted, value, at):
    assert wanted is False, "only `false` is known here"
    if isinstance(value, dict):
        more = set(value) - set(schema.get("properties", {}))
        assert not more, f"{at}: not known: {sorted(more)}"


def required(root, schema, wanted, value, at):
    if isinstance(value, dict):
        missing = set(wanted) - set(value)
        assert not missing, f"{at}: missing: {sorted(missing)}"


def items(root, schema, wanted, value, at):
    if isinstance(value, list):
        for index, item in enumerate(value[len(schema.get("prefixItems", [])):]):
            check(root, wanted, item, f"{at}/{index}")


def prefix_items(root, schema, wanted, value, at):
    if isinstance(value, list):
        for index, (inner, item) in enumerate(zip(wanted, value)):
            check(root, inner, item, f"{at}/{index}")


def compare(kind, holds, what):
    def rule(root, schema, wanted, value, at):
        if isinstance(value, kind) and not isinstance(value, bool):
            assert holds(value, wanted), f"{at}: {value!r} {what} {wanted}"
    return rule


RULES = {
    "$ref": reference,
    "type": types,
    "oneOf": one_of,
    "anyOf": any_of,
    "properties": properties,
    "additionalProperties": additional,
    "required": required,
    "items": items,
    "prefixItems": prefix_items,
    "const": compare(object, lambda value, wanted: value == wanted, "is not"),
    "enum": compare(object, lambda value, wanted: value in wanted, "is not of"),
    "minimum": compare(int, lambda value, wanted: value >= wanted, "is below"),
    "maximum": compare(int, lambda value, wanted: value <= wanted, "is above"),
    "minItems": compare(list, lambda value, wanted: len(value) >= wanted, "has fewer than"),
    "maxItems": compare(list, lambda value, wanted: len(value) <= wanted, "has more than"),
    "minLength": compare(str, lambda value, wanted: len(value) >= wanted, "is shorter than"),
    "maxLength": compare(str, lambda value, wanted: len(value) <= wanted, "is longer than"),
    "pattern": compare(str, lambda value, wanted: re.search(wanted.replace("$", r"\Z"), value),
                       "does not fit"),
}
