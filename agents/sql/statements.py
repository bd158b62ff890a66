"""SQL for the tables that are written at every request, made once: the ORM would compile it for every row."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models

from agents.models.money import UsdField
from agents.sql.driver import execute_each, places

# Text and numbers go into the database as they are.
CONVERTED = (models.UUIDField, models.DateTimeField, UsdField)


class Columns:
    """Columns of a model, whose values are taken out of a row as the database takes them."""

    def __init__(self, fields: Iterable["models.Field[Any, Any]"]) -> None:
        self.names: list[str] = []
        self._read: list[tuple[str, Callable[..., Any] | None]] = []
        for field in fields:
            stored = field.target_field if isinstance(field, models.ForeignKey) else field
            self.names.append(str(field.column))
            self._read.append((field.attname, stored.get_db_prep_save if isinstance(stored, CONVERTED) else None))

    def of(self, row: models.Model) -> list[Any]:
        values = vars(row)
        database = connections[DEFAULT_DB_ALIAS]  # itself: `connection` would look for it again at every field
        return [
            values[name] if convert is None or values[name] is None else convert(values[name], database)
            for name, convert in self._read
        ]


class Insert:
    """INSERT of rows of a model, all their columns except an id that the database makes.

    A row that is there already gets what is new in its columns `replaced`; without any it must not be there.
    """

    def __init__(self, model: type[models.Model], *, replaced: Iterable[str] = ()) -> None:
        self._columns = Columns(
            field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)
        )
        names = self._columns.names
        self._sql = f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) VALUES ({places(names)})"
        if news := ", ".join(f"{name} = excluded.{name}" for name in replaced):
            self._sql += f" ON CONFLICT (id) DO UPDATE SET {news}"

    def __call__(self, cursor: Any, rows: Sequence[models.Model]) -> None:
        if rows:
            execute_each(cursor, self._sql, [self._columns.of(row) for row in rows])
