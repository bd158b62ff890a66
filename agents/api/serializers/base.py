"""What the serializers of rows share: strictness, the models' own checks, and fields for names and amounts."""

from collections.abc import Mapping
from copy import copy
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as ModelInvalid
from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from agents.api.errors import as_invalid
from agents.setup import SetupError, find_model


def named(text: str) -> Q:
    """Return what finds a row by its id or its name."""
    try:
        return Q(pk=UUID(text))
    except ValueError:
        return Q(name=text) if "\x00" not in text else Q(pk=None)


class Strict(serializers.Serializer[Any]):
    """Takes no field that it does not know: a typo must not pass for a default."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            for name in data:
                if name not in self.fields:
                    raise ValidationError({name: [ErrorDetail("There is no such field.", code="unknown_field")]})
        return super().to_internal_value(data)


class RowSerializer(Strict, serializers.ModelSerializer[Any]):
    """A row; what it is to become is checked by its model, too. `fixed` fields are given once, when it is made."""

    fixed: tuple[str, ...] = ()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        self.refuse_changes_of_fixed(attrs)
        row = self.preview(attrs)
        try:
            self.check(row, attrs)
            row.full_clean(exclude={field.name for field in row._meta.concrete_fields if not field.editable})
        except ModelInvalid as error:
            raise as_invalid(error) from None
        return attrs

    def check(self, row: Any, attrs: dict[str, Any]) -> None:
        """Raise ValidationError for what the model itself does not know to be wrong."""

    def preview(self, attrs: dict[str, Any]) -> Model:
        """Return the row as it would be, without touching the one that there is."""
        table: Any = self.Meta.model
        row: Model = table() if self.instance is None else copy(self.instance)
        columns = {field.name for field in row._meta.concrete_fields}
        for name in columns & attrs.keys():
            setattr(row, name, attrs[name])
        return row

    def refuse_changes_of_fixed(self, attrs: dict[str, Any]) -> None:
        for name in self.fixed:
            if self.instance is not None and name in attrs and attrs[name] != getattr(self.instance, name):
                raise ValidationError({name: [ErrorDetail("This cannot be changed any more.", code="fixed")]})


class NamedField(serializers.CharField):
    """Another row, by its name; by its id, too, when it is given."""

    def __init__(self, rows: "QuerySet[Any]", what: str, **options: Any) -> None:
        self.rows, self.what = rows, what
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        row = self.rows.filter(named(text)).first()
        if row is None:
            raise ValidationError(f"There is no {self.what} {text[:100]!r}.", code="does_not_exist")
        return row

    def to_representation(self, value: Any) -> str:
        return str(value.name)


class LanguageModelField(serializers.CharField):
    """A language model, as PROVIDER/MODEL; a name that only one provider has is enough."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        provider, slash, name = text.partition("/")
        try:
            model = find_model(provider, name) if slash and name else find_model("", text)
        except SetupError as error:
            raise ValidationError(str(error), code="does_not_exist") from None
        if model is None or model.pk is None:
            raise ValidationError(
                f"There is no model {text[:100]!r}. GET /api/models lists them.", code="does_not_exist"
            )
        return model

    def to_representation(self, value: Any) -> str:
        return str(value)


class DecimalText(serializers.CharField):
    """An exact number as text, as few digits as it has; null where it is unknown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, allow_null=True, **options)

    def to_representation(self, value: Any) -> str:
        return written(value)


def written(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
