"""Rows that running servers hold a copy of, and how they learn that a row has changed.

Every change of such a row raises one number in the database, in the same transaction. Servers watch the number
(`agents.snapshot`), so that a change by any process, the admin or a command, is served within a second by all.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from django.db import models, transaction
from django.dispatch import Signal

served_changed = Signal()


class Revision(models.Model):
    """The number, in a single row, that grows with every change of a served row."""

    number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)

    @classmethod
    def current(cls) -> int:
        return cls.objects.filter(pk=1).values_list("number", flat=True).first() or 0

    @classmethod
    def bump(cls) -> None:
        """Tell every server that what it serves has changed; takes effect when the transaction commits."""
        if not cls.objects.filter(pk=1).update(number=models.F("number") + 1):
            cls.objects.get_or_create(pk=1, defaults={"number": 1})
        transaction.on_commit(lambda: served_changed.send(cls))


M = TypeVar("M", bound=models.Model)


class ServedQuerySet(models.QuerySet[M]):
    @transaction.atomic
    def update(self, **values: Any) -> int:
        count = super().update(**values)
        Revision.bump()
        return count

    @transaction.atomic
    def delete(self) -> tuple[int, dict[str, int]]:
        deleted = super().delete()
        Revision.bump()
        return deleted

    @transaction.atomic
    def bulk_create(self, objs: Iterable[M], *args: Any, **options: Any) -> list[M]:
        created = super().bulk_create(objs, *args, **options)
        Revision.bump()
        return created


class Served(models.Model):
    """Base of the tables that running servers hold a copy of."""

    class Meta:
        abstract = True

    @transaction.atomic
    def save(self, *args: Any, **options: Any) -> None:
        super().save(*args, **options)
        Revision.bump()

    @transaction.atomic
    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **options)
        Revision.bump()
        return deleted
