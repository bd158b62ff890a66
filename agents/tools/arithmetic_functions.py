"""What can be done with numbers in an expression: whole numbers stay whole, all others are decimals of 50 digits."""

import math
import operator
from collections.abc import Callable
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import TypeAlias

Number: TypeAlias = int | Decimal

MAX_DIGITS = 1000
# More digits than are shown, so that sqrt(2)**2 is 2.
CONTEXT = Context(
    prec=50, Emax=MAX_DIGITS, Emin=-MAX_DIGITS, clamp=0, traps=[InvalidOperation, DivisionByZero, Overflow]
)
SHOWN = Context(prec=28)
BITS_PER_DIGIT = math.log2(10)
MAX_FACTORIAL = 449  # the last with no more than MAX_DIGITS digits
CONSTANTS = {
    "pi": Decimal("3.14159265358979323846264338327950288419716939937511"),
    "e": Decimal("2.71828182845904523536028747135266249775724709369996"),
    "tau": Decimal("6.28318530717958647692528676655900576839433879875021"),
}


class Refused(Exception):
    """An expression that is not worked out; the text says why."""


def number(text: str) -> Number:
    return int(text) if text.isdigit() else +Decimal(text)


def shown(value: Number) -> str:
    """Return a number as people write it: without an exponent unless it is very large or small."""
    if isinstance(value, int):
        return str(value)
    rounded = SHOWN.plus(value)
    if not rounded:
        return "0"
    if -20 <= rounded.adjusted() < 28:
        text = f"{rounded:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(rounded.normalize(SHOWN))


def _bounded(value: Number) -> Number:
    """Return a result. Raises OverflowError for whole numbers of too many digits, ValueError for infinity (`ln(0)`)."""
    if isinstance(value, int) and value.bit_length() > MAX_DIGITS * BITS_PER_DIGIT:
        raise OverflowError
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError
    return value


def _operation(function: Callable[[Number, Number], Number]) -> Callable[[Number, Number], Number]:
    def bounded(left: Number, right: Number) -> Number:
        return _bounded(function(left, right))

    return bounded


def _divide(left: Number, right: Number) -> Number:
    if isinstance(left, int) and isinstance(right, int) and right and left % right == 0:
        return left // right
    return Decimal(left) / Decimal(right)


def _whole_part(left: Number, right: Number) -> Number:
    """Divide and round down, also decimals and negative numbers, as whole numbers do in Python."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    return _floor(Decimal(left) / Decimal(right))


def _remainder(left: Number, right: Number) -> Number:
    if isinstance(left, int) and isinstance(right, int):
        return left % right
    whole = _whole_part(left, right)
    if abs(whole) >= 10**SHOWN.prec:
        raise Refused("The remainder of so large a number is not known exactly.")
    return left - whole * right


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(base) > 1 and (abs(base).bit_length() - 1) * exponent > MAX_DIGITS * BITS_PER_DIGIT:
            raise OverflowError
        whole: int = base**exponent
        return whole
    return Decimal(base) ** Decimal(exponent)


def _rounded(value: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > 50:
        raise Refused("round takes the number of decimal places, a whole number up to 50.")
    if isinstance(value, int) and digits >= 0:
        return value
    shifted = Decimal(value).scaleb(digits).to_integral_value(ROUND_HALF_UP).scaleb(-digits)
    return int(shifted) if digits <= 0 else shifted


def _floor(value: Number) -> int:
    return int(Decimal(value).to_integral_value(ROUND_FLOOR)) if isinstance(value, Decimal) else value


def _logarithm(value: Number, base: Number | None = None) -> Number:
    natural = Decimal(value).ln()
    return natural if base is None else natural / Decimal(base).ln()


def _factorial(value: Number) -> int:
    if value != int(value) or value < 0:
        raise Refused("factorial takes a whole number that is not negative.")
    if value > MAX_FACTORIAL:
        raise OverflowError
    return math.factorial(int(value))


def _by_float(function: Callable[[float], float]) -> Callable[[Number], Number]:
    """Return a function that the decimals lack, to the 15 digits that floating point has."""

    def approximate(value: Number) -> Number:
        return Decimal(repr(round(function(float(value)), 15)))

    return approximate


def _takes(low: int, high: int | None, name: str, function: Callable[..., Number]) -> Callable[..., Number]:
    def checked(*arguments: Number) -> Number:
        if len(arguments) < low or (high is not None and len(arguments) > high):
            raise Refused(f"{name} does not take {len(arguments)} numbers.")
        return _bounded(function(*arguments))

    return checked


def _sum(*values: Number) -> Number:
    return sum(values, start=0)


OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "+": _operation(operator.add),
    "-": _operation(operator.sub),
    "*": _operation(operator.mul),
    "/": _operation(_divide),
    "//": _operation(_whole_part),
    "%": _operation(_remainder),
    "**": _operation(_power),
}
FUNCTIONS: dict[str, Callable[..., Number]] = {
    name: _takes(low, high, name, function)
    for name, low, high, function in (
        ("abs", 1, 1, abs),
        ("round", 1, 2, _rounded),
        ("floor", 1, 1, _floor),
        ("ceil", 1, 1, lambda value: -_floor(-value)),
        ("min", 1, None, min),
        ("max", 1, None, max),
        ("sum", 1, None, _sum),
        ("mean", 1, None, lambda *values: _divide(_sum(*values), len(values))),
        ("sqrt", 1, 1, lambda value: Decimal(value).sqrt()),
        ("exp", 1, 1, lambda value: Decimal(value).exp()),
        ("ln", 1, 1, _logarithm),
        ("log", 1, 2, _logarithm),
        ("log10", 1, 1, lambda value: Decimal(value).log10()),
        ("log2", 1, 1, lambda value: _logarithm(value, 2)),
        ("factorial", 1, 1, _factorial),
        ("sin", 1, 1, _by_float(math.sin)),
        ("cos", 1, 1, _by_float(math.cos)),
        ("tan", 1, 1, _by_float(math.tan)),
        ("asin", 1, 1, _by_float(math.asin)),
        ("acos", 1, 1, _by_float(math.acos)),
        ("atan", 1, 1, _by_float(math.atan)),
        ("degrees", 1, 1, lambda value: value * 180 / CONSTANTS["pi"]),
        ("radians", 1, 1, lambda value: value * CONSTANTS["pi"] / 180),
    )
}
