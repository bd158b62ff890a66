"""Patterns such as `src/**/*.py`."""

import re2  # type: ignore[import-untyped]

from agents.errors import ToolFailed

_TOKENS = {"*": "[^/]*", "?": "[^/]", "{": "(?:", ",": "|", "}": ")"}


class Glob:
    """A pattern that paths match or not: `*` within a name, `**` over folders, `?`, and `{a,b}`.

    Matching takes time in proportion to the path, whatever the pattern: it is RE2 that does it.
    """

    def __init__(self, pattern: str) -> None:
        self.depth = None if "**" in pattern else pattern.count("/") + 1
        try:
            self._expression = re2.compile(_expression(pattern), quiet())
        except re2.error:
            raise ToolFailed(f"{pattern!r} is not a pattern: use *, **, ? and {{a,b}}.") from None

    def matches(self, path: str) -> bool:
        return self._expression.fullmatch(path) is not None


def quiet() -> re2.Options:
    """Return options that keep RE2 from printing the faults of a pattern to the server's log."""
    options = re2.Options()
    options.log_errors = False
    return options


def _expression(pattern: str) -> str:
    expression, at, braces = "(?s)", 0, 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**/", at):
            expression, at = expression + "(?:.*/)?", at + 3
            continue
        if pattern.startswith("**", at):
            expression, at = expression + ".*", at + 2
            continue
        braces += (char == "{") - (char == "}")
        is_token = char in _TOKENS and (char != "," or braces > 0)
        expression, at = expression + (_TOKENS[char] if is_token else re2.escape(char)), at + 1
    return expression
