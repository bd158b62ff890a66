"""Money in the database: whole picodollars, so that a sum is exact on every engine."""

from decimal import Decimal
from typing import Any

from django.db import models

PICO = Decimal(10) ** 12
MOST_INTEGER = 2**63 - 1  # what a column of this kind, or of tokens, can hold


class UsdField(models.Field):  # type: ignore[type-arg]
    """US dollars as a Decimal, stored as an integer of 10^-12 dollars.

    A price of at most six decimals per million tokens makes every token a whole number of picodollars; SQLite keeps
    decimals as floating point, whose sums drift. Holds sums up to 9.2 million dollars.
    """

    _pyi_private_set_type: Decimal | int
    _pyi_private_get_type: Decimal

    def get_internal_type(self) -> str:
        return "BigIntegerField"

    def from_db_value(self, value: int | None, *_: Any) -> Decimal | None:
        return None if value is None else Decimal(value) / PICO

    def to_python(self, value: Any) -> Any:
        return value if value is None or isinstance(value, Decimal) else Decimal(value)

    def get_prep_value(self, value: Any) -> int | None:
        return None if value is None else int((Decimal(value) * PICO).to_integral_value())
