"""SQL for the tables that are written at every request, made once: the ORM would compile it for every row."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections, models

from agents.models.money import UsdField

# Text and numbers go into the database as they are.
CONVERTED = (models.ForeignKey, models.UUIDField, models.DateTimeField, UsdField)


def prepared(fields: Iterable["models.Field[Any, Any]"], row: models.Model) -> list[Any]:
    """Return the values of a row's fields as the database takes them."""
    values = vars(row)
    database = connections[DEFAULT_DB_ALIAS]  # itself: `connection` would look for it again at every field
    return [
        field.get_db_prep_save(values[field.attname], database)
        if isinstance(field, CONVERTED)
        else values[field.attname]
        for field in fields
    ]


class Insert:
    """INSERT of rows of a model, all their columns except an id that the database makes."""

    def __init__(self, model: type[models.Model]) -> None:
        self._fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
        columns = ", ".join(str(field.column) for field in self._fields)
        places = ", ".join(["%s"] * len(self._fields))
        self._sql = f"INSERT INTO {model._meta.db_table} ({columns}) VALUES ({places})"

    def __call__(self, rows: Sequence[models.Model]) -> None:
        if rows:
            with connection.cursor() as cursor:
                cursor.executemany(self._sql, [prepared(self._fields, row) for row in rows])
