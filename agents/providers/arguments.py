"""The arguments of a tool call: JSON text that leaves here as one object, however the model wrote it."""

import json
import re
from typing import Any

import msgspec

# A value is passed on when it is complete, unless it is longer: a value that broke off must not look complete.
LONGEST_HELD = 200
LONGEST_KEY = 10_000
DEEPEST = 200
LONGEST_REPAIRED = 200_000  # repairing takes 0.3 s a megabyte, in which no other run gets on

_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_INSIDE = rf'[^"\\\x00-\x1f]*(?:{_ESCAPE}[^"\\\x00-\x1f]*)*'
TOKEN = re.compile(rf'[ \t\r\n]+|[{{}}\[\]:,]|"{_INSIDE}"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null')
STRING_START = re.compile(rf'"{_INSIDE}(?=(?:\\(?:u[0-9a-fA-F]{{0,3}})?)?\Z)')
STRING_REST = re.compile(_INSIDE)
HALF_ESCAPE = re.compile(r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z")
WORD_START = re.compile(r"-?[\d.eE+-]*\Z|t(?:r(?:ue?)?)?\Z|f(?:a(?:l(?:se?)?)?)?\Z|n(?:u(?:ll?)?)?\Z")
HALVES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.S
)

DECODER = json.JSONDecoder()

START, KEY_OR_END, KEY, COLON, VALUE, VALUE_OR_END, NEXT = range(7)
CLOSINGS = {COLON: ":null", VALUE: "null"}


class ObjectText:
    """One JSON object that comes in pieces. `feed` returns what of it is certain; `finish` returns the rest."""

    def __init__(self) -> None:
        self.begun = self.complete = False
        # What follows the object in the piece that completed it.
        self.surplus = ""
        self._raw: list[str] = []
        self._sent: list[str] = []
        self._sent_at = (START, "", False)
        self._pending = ""
        self._held = ""
        self._closers: list[str] = []
        self._expects = START
        self._in_string = False
        self._broken = False

    @property
    def is_empty_object(self) -> bool:
        return self.complete and not self._sent

    @property
    def raw(self) -> str:
        return "".join(self._raw)

    @property
    def flows(self) -> bool:
        """Whether a part of an incomplete value has been passed on."""
        _, closers, in_string = self._sent_at
        return not self.complete and (in_string or len(closers) > 1)

    def feed(self, piece: str) -> str:
        """Take a piece in, and return what can be passed on."""
        self._raw.append(piece)
        self.begun = self.begun or bool(piece.strip())
        if self._broken or self.complete:
            return ""
        text, at, ready = self._pending + piece, 0, ""
        while at < len(text) and not self.complete and not self._broken:
            end = self._string_end(text, at) if self._in_string else self._token_end(text, at)
            if end == at:
                break
            ready += self._passed()
            at = end
        self._pending = text[at:]
        if self.complete:
            self.surplus, self._pending = self._pending, ""
            self._raw[-1] = piece[: len(piece) - len(self.surplus)]
        if ready:
            self._sent.append(ready)
        return ready

    def finish(self) -> tuple[str, bool]:
        """Return the rest of the object, and whether what the model wrote could be read."""
        if self.is_empty_object or not self.begun:
            return "{}", True
        if self.complete:
            return "", True
        sent, fixed = "".join(self._sent), repaired(self.raw)
        if fixed is not None and fixed.startswith(sent):
            return fixed[len(sent) :], True
        if not sent:
            return "{}", False
        expects, closers, in_string = self._sent_at
        return ('"' if in_string else CLOSINGS.get(expects, "")) + closers[::-1], False

    def _token_end(self, text: str, at: int) -> int:
        """Take the next token in and return where it ends; `at` itself while more of it must come."""
        found = TOKEN.match(text, at)
        if found is None or (found.end() == len(text) and text[at] in "-0123456789"):
            return self._unfinished_end(text, at)
        self._take(found[0])
        return found.end()

    def _unfinished_end(self, text: str, at: int) -> int:
        if text[at] != '"':
            self._broken = WORD_START.match(text, at) is None
            return at
        found = STRING_START.match(text, at)
        is_value = self._expects in (VALUE, VALUE_OR_END)
        if found is None or (not is_value and len(text) - at > LONGEST_KEY):
            self._broken = True
        elif is_value and len(text) - at > LONGEST_HELD:
            self._held += found[0]
            self._expects, self._in_string = NEXT, True
            return found.end()
        return at

    def _string_end(self, text: str, at: int) -> int:
        """Take in more of a string that is too long to be held."""
        found = STRING_REST.match(text, at)
        assert found is not None
        end = found.end()
        if text[end : end + 1] == '"':
            end, self._in_string = end + 1, False
        elif HALF_ESCAPE.match(text, end) is None:
            self._broken = True
        self._held += text[at:end]
        return end

    def _take(self, token: str) -> None:
        first, expects, closers = token[0], self._expects, self._closers
        self._held += HALVES.sub(_whole_escapes, token) if "\\u" in token else token
        if first in " \t\r\n":
            return
        allowed: tuple[int, ...] = (VALUE, VALUE_OR_END)
        if first in "{[":
            allowed = (START, *allowed) if first == "{" and not closers else allowed
            allowed = allowed if len(closers) < DEEPEST else ()
            closers.append("}" if first == "{" else "]")
            self._expects = KEY_OR_END if first == "{" else VALUE_OR_END
        elif first in "}]":
            allowed = (NEXT, KEY_OR_END if first == "}" else VALUE_OR_END)
            if not closers or closers.pop() != first:
                allowed = ()
            self._expects = NEXT
            self.complete = not closers and expects in allowed
        elif first == ":":
            allowed, self._expects = (COLON,), VALUE
        elif first == ",":
            allowed, self._expects = (NEXT,), KEY if closers and closers[-1] == "}" else VALUE
        elif first == '"' and expects in (KEY, KEY_OR_END):
            allowed, self._expects = (expects,), COLON
        else:
            self._expects = NEXT
        self._broken = expects not in allowed

    def _passed(self) -> str:
        """Return what was held, if it is certain by now: a value is when something follows it that may follow it."""
        depth = len(self._closers)
        certain = self.complete or self._in_string or (depth == 1 and self._expects in (COLON, VALUE))
        is_value_open = self._expects in (NEXT, KEY) and not (self.complete or self._in_string)
        if self._broken or is_value_open or not (certain or len(self._held) > LONGEST_HELD):
            return ""
        if self.complete and not self._sent_at[1]:
            # An empty object: some servers begin every call with one, and the arguments follow it.
            return ""
        ready, self._held = self._held, ""
        self._sent_at = (self._expects, "".join(self._closers), self._in_string)
        return ready


def _whole_escapes(found: re.Match[str]) -> str:
    """Replace half of a surrogate pair, which strict readers refuse."""
    return r"\ufffd" if found[1] else found[0]


def one_object(text: str) -> str:
    """Return arguments as the text of one JSON object: as they are, repaired, or empty."""
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return text
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return repaired(text) or "{}"


LOOSE = re.compile(
    r"""(?P<plain>[\s{}\[\]:,]|-?\d[\d.eE+-]*)|"(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"|'(?P<single>[^'\\]*(?:\\.[^'\\]*)*)'"""
    r"""|(?P<word>-?[A-Za-z_$][\w$]*)(?P<key>\s*:)?""",
    re.S,
)
WORDS = {"true", "false", "null"}
PYTHON_WORDS = {"True": "true", "False": "false", "None": "null", "NaN": "null", "undefined": "null"}
TRAILING_COMMA = re.compile(r"\s*[}\]]")


def repaired(text: str, depth: int = 0) -> str | None:
    """Return the object that a text means beyond doubt, as JSON; None if it means none.

    Takes away code fences and words around the object, decodes JSON in JSON, and reads Python's and JavaScript's way of
    writing. Leaves every character that is JSON already as it is.
    """
    text = text.strip()
    if len(text) > LONGEST_REPAIRED:
        return None
    if text.startswith('"') and depth < 3:
        inner, end = _first_string(text)
        return repaired(inner or text[end:], depth + 1) if end else None
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0 or text[start] == "[":
        return None
    fixed = _as_json(text, start)
    return fixed if fixed is not None and isinstance(decoded(fixed), dict) else None


def _first_string(text: str) -> tuple[str, int]:
    """Return the JSON string that a text begins with, and where it ends; zero if it begins with none."""
    try:
        return DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return "", 0


def decoded(text: str) -> Any:
    """Return what a JSON text says, None if it is not one."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _as_json(text: str, at: int) -> str | None:
    """Return the object that begins here, its strings and words rewritten as JSON has them."""
    written: list[str] = []
    depth = 0
    while found := LOOSE.match(text, at):
        at = found.end()
        plain, word = found["plain"], found["word"]
        if plain == "," and TRAILING_COMMA.match(text, at):
            continue
        if plain is not None:
            written.append(plain)
            depth += (plain in "{[") - (plain in "}]")
            if depth == 0:
                return "".join(written)
        elif word is None:
            written.append(_json_string(found["double"] if found["double"] is not None else found["single"]))
        elif found["key"]:
            written.append(f'"{word}"{found["key"]}')
        elif word in WORDS or word in PYTHON_WORDS:
            written.append(PYTHON_WORDS.get(word, word))
        else:
            return None
    return None


IN_STRING = re.compile(r'\\u[0-9a-fA-F]{4}|\\.|["\x00-\x1f]|\\', re.S)


def _json_string(inside: str) -> str:
    return f'"{HALVES.sub(_whole_escapes, IN_STRING.sub(_json_escape, inside))}"'


def _json_escape(found: re.Match[str]) -> str:
    said = found[0]
    if said[0] != "\\":
        return json.dumps(said)[1:-1]
    if said[1:] == "'":
        return "'"
    if len(said) == 6 or (len(said) == 2 and said[1] in '"\\/bfnrt'):
        return said
    return "\\\\" + json.dumps(said[1:])[1:-1]
