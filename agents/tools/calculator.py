from typing import Annotated

from msgspec import Meta

from agents.tools.arithmetic import MAX_LENGTH, evaluate
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool


async def calculator(
    context: RunContext,
    expression: Annotated[
        str, Meta(description="For example (19.99 * 3) * 1.19, 2**64, sqrt(2) or 15% * 80.", max_length=MAX_LENGTH)
    ],
) -> str:
    """Calculate an arithmetic expression exactly: whole numbers with every digit, decimals to 28 digits.

    Operators: + - * / // (whole part) % ** and parentheses; 15% is 0.15, and 17 % 5 is the remainder 2.
    Functions: abs, round(x, digits), floor, ceil, min, max, sum, mean, sqrt, exp, ln, log(x, base), log10, log2,
    factorial, sin, cos, tan, asin, acos, atan (radians), degrees, radians. Constants: pi, e, tau.
    """
    return evaluate(expression)


tool = FunctionTool(calculator, timeout=5)
