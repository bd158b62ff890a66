"""Arithmetic expressions, read and worked out within bounds; nothing of Python's can be reached from one.

expression = term (("+" | "-") term)*
term       = signed (("*" | "/" | "//" | "%") signed)*
signed     = ("+" | "-") signed | power
power      = percent ("**" signed)?
percent    = operand "%"*                      where no operand follows the sign
operand    = number | constant | function "(" expression ("," expression)* ")" | "(" expression ")"
"""

import re
from decimal import DecimalException, DivisionByZero, Overflow, localcontext

from agents.errors import ToolFailed
from agents.tools.arithmetic_functions import (
    CONSTANTS,
    CONTEXT,
    FUNCTIONS,
    MAX_DIGITS,
    OPERATORS,
    Number,
    Refused,
    number,
    shown,
)

MAX_LENGTH = 1000
MAX_DEPTH = 50
TOKEN = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[A-Za-z]\w*|\*\*|//|[-+*/%(),]|\S", re.ASCII)
# As people and models write them.
SPELLINGS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "^": "**"})  # noqa: RUF001
END = ""


def evaluate(expression: str) -> str:
    """Return what an expression comes to. Raises ToolFailed, saying what is wrong with it."""
    if len(expression) > MAX_LENGTH:
        raise ToolFailed(f"The expression is longer than {MAX_LENGTH} characters.")
    with localcontext(CONTEXT):
        try:
            return shown(_Reader(expression).result())
        except Refused as error:
            raise ToolFailed(str(error)) from None
        except (DivisionByZero, ZeroDivisionError):
            raise ToolFailed("The expression divides by zero.") from None
        except (Overflow, OverflowError):
            raise ToolFailed(f"A number in it has more than {MAX_DIGITS} digits.") from None
        except (DecimalException, ValueError):
            raise ToolFailed("The expression has no value among the real numbers.") from None


class _Reader:
    """Works an expression out while reading it, one token at a time."""

    def __init__(self, expression: str) -> None:
        self._tokens: list[str] = [*TOKEN.findall(expression.translate(SPELLINGS)), END]
        self._place = 0
        self._depth = 0

    def result(self) -> Number:
        value = self._expression()
        if self._next != END:
            raise self._unexpected()
        return value

    @property
    def _next(self) -> str:
        return self._tokens[self._place]

    def _take(self) -> str:
        self._place += 1
        return self._tokens[self._place - 1]

    def _expect(self, sign: str) -> None:
        if self._take() != sign:
            self._place -= 1
            raise self._unexpected()

    def _expression(self) -> Number:
        value = self._term()
        while self._next in {"+", "-"}:
            value = OPERATORS[self._take()](value, self._term())
        return value

    def _term(self) -> Number:
        value = self._signed()
        while self._next in {"*", "/", "//", "%"}:
            value = OPERATORS[self._take()](value, self._signed())
        return value

    def _signed(self) -> Number:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Refused(f"The expression is nested more than {MAX_DEPTH} deep.")
        sign = self._take() if self._next in {"+", "-"} else None
        value = OPERATORS[sign](0, self._signed()) if sign else self._power()
        self._depth -= 1
        return value

    def _power(self) -> Number:
        base = self._percent()
        if self._next != "**":
            return base
        self._take()
        return OPERATORS["**"](base, self._signed())

    def _percent(self) -> Number:
        value = self._operand()
        while self._next == "%" and not _begins_operand(self._tokens[self._place + 1]):
            self._take()
            value = OPERATORS["/"](value, 100)
        return value

    def _operand(self) -> Number:
        token = self._take()
        if token == "(":
            value = self._expression()
            self._expect(")")
            return value
        if token[:1].isdigit() or (token[:1] == "." and len(token) > 1):
            return number(token)
        if token.lower() in CONSTANTS:
            return CONSTANTS[token.lower()]
        if token[:1].isalpha():
            return self._function(token)
        self._place -= 1
        raise self._unexpected()

    def _function(self, name: str) -> Number:
        function = FUNCTIONS.get(name.lower())
        if function is None:
            raise Refused(f"There is no {name[:50]!r} here. Known: {', '.join([*FUNCTIONS, *CONSTANTS])}.")
        self._expect("(")
        arguments = [self._expression()]
        while self._next == ",":
            self._take()
            arguments.append(self._expression())
        self._expect(")")
        return function(*arguments)

    def _unexpected(self) -> Refused:
        if self._next == END:
            return Refused("The expression ends too soon.")
        read = "".join(self._tokens[max(self._place - 5, 0) : self._place])
        after = f" after {read!r}" if read else ""
        hint = " Write numbers without thousands separators." if self._next == "," else ""
        return Refused(f"Unexpected {self._next!r}{after}.{hint}")


def _begins_operand(token: str) -> bool:
    return token == "(" or token[:1].isalnum() or (token[:1] == "." and len(token) > 1)
