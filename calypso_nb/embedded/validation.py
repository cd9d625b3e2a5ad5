"""TinyTask's checks of a tool's arguments, which word their refusals as Zod 3 does."""

import math
import re
from collections.abc import Mapping
from typing import Any

Issue = dict[str, Any]
Path = list[str | int]

_MISSING: Any = object()
_JS_DECIMAL = re.compile(r"[+-]?(Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)")
_JS_INTEGER = re.compile(r"0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
# What JavaScript's trim() takes off; Python's strip() takes other control characters too, and leaves U+FEFF.
JS_SPACE = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(8192, 8203)))


def check_arguments(
    schema: Mapping[str, Any], arguments: Mapping[str, Any], *, strict: bool
) -> tuple[dict[str, Any], list[Issue]]:
    """Return the arguments with their numbers coerced, and what is wrong with them.

    - schema: the tool's input schema; `{"anyOf": [...]}` tries each alternative.
    - arguments: the arguments of the call.
    - strict: refuse arguments that the schema doesn't have; otherwise they are dropped.
    """
    issues: list[Issue] = []
    accepted: dict[str, Any] = {}
    properties = schema["properties"]
    required = schema.get("required", ())
    for name, property_schema in properties.items():
        if name in arguments or name in required:
            accepted[name] = _checked(property_schema, arguments.get(name, _MISSING), [name], issues)
    unknown = [name for name in arguments if name not in properties]
    if strict and unknown:
        names = ", ".join(f"'{name}'" for name in unknown)
        message = f"Unrecognized key(s) in object: {names}"
        issues.append({"code": "unrecognized_keys", "keys": unknown, "path": [], "message": message})
    return accepted, issues


def _checked(schema: Mapping[str, Any], value: Any, path: Path, issues: list[Issue]) -> Any:
    if "anyOf" in schema:
        return _first_match(schema["anyOf"], value, path, issues)
    if isinstance(schema["type"], list):  # ["number", "null"]
        if value is None:
            return None
        schema = {**schema, "type": schema["type"][0]}
    kind = schema["type"]
    if kind == "number":
        value = _number(value)
    if js_type(value) != kind:
        issues.append(type_issue(schema, value, path))
    elif "enum" in schema and value not in schema["enum"]:
        issues.append(enum_issue(schema["enum"], value, path))
    elif kind == "array":
        return [_checked(schema["items"], item, [*path, i], issues) for i, item in enumerate(value)]
    return value


def _first_match(alternatives: list[Mapping[str, Any]], value: Any, path: Path, issues: list[Issue]) -> Any:
    refusals = []
    for schema in alternatives:
        found: list[Issue] = []
        result = _checked(schema, value, path, found)
        if not found:
            return result
        refusals.append({"issues": found, "name": "ZodError"})
    problem = {"code": "invalid_union", "unionErrors": refusals, "path": path}
    issues.append(problem | {"message": "Invalid input"})
    return value


def type_issue(schema: Mapping[str, Any], value: Any, path: Path) -> Issue:
    """Return Zod's refusal of a value of the wrong type."""
    received = js_type(value)
    if "enum" in schema:
        expected = _options(schema["enum"])
        issue: Issue = {"expected": expected, "received": received, "code": "invalid_type"}
    else:
        expected = schema["type"]
        issue = {"code": "invalid_type", "expected": expected, "received": received}
    message = f"Expected {expected}, received {received}"
    if received == "undefined":
        message = "Required"
    return issue | {"path": path, "message": message}


def enum_issue(options: list[str], value: str, path: Path) -> Issue:
    """Return Zod's refusal of a word that is not one of the options."""
    message = f"Invalid enum value. Expected {_options(options)}, received '{value}'"
    issue = {"received": value, "code": "invalid_enum_value", "options": options}
    return issue | {"path": path, "message": message}


def js_type(value: Any) -> str:
    """Return what JavaScript, and so Zod, calls the type of a JSON value."""
    if value is _MISSING:
        return "undefined"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "nan" if math.isnan(value) else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _options(options: list[str]) -> str:
    return " | ".join(f"'{option}'" for option in options)


def _number(value: Any) -> int | float:
    """Return JavaScript's Number(value), as an int if it is whole."""
    if isinstance(value, list):  # It stands for its text, which is empty or that of its only item.
        value = "" if not value else "?" if len(value) > 1 or isinstance(value[0], bool) else value[0]
        return _number(value)
    if isinstance(value, str):
        text = value.strip(JS_SPACE)
        if _JS_INTEGER.fullmatch(text):
            value = int(text, 0)
        else:
            value = float(text or 0) if _JS_DECIMAL.fullmatch(text or "0") else math.nan
    elif value is not None and not isinstance(value, int | float):
        return math.nan
    try:
        number = float(value or 0)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    return int(number) if abs(number) < 2**53 and number.is_integer() else number
