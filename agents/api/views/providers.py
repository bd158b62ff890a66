from typing import Any

from django.db.models import Count, QuerySet
from rest_framework.serializers import BaseSerializer

from agents.api.serializers.models import LanguageModelSerializer, ModelQuery
from agents.api.serializers.providers import ProviderSerializer
from agents.api.views.base import Resource
from agents.models import LanguageModel, Provider


class Providers(Resource):
    """LLM APIs, each found by its name."""

    noun = "providers"
    table = Provider
    serializer_class = ProviderSerializer
    lookup_field = "name"
    lookup_url_kwarg = "name"
    lookup_value_regex = "[a-z0-9._-]+"

    def get_queryset(self) -> QuerySet[Any]:
        return Provider.objects.annotate(model_count=Count("language_models")).order_by("name")

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_create(serializer)
        serializer.instance.model_count = 0  # type: ignore[union-attr]


class Models(Resource):
    """The models of the providers, with their limits and prices."""

    noun = "providers"
    table = LanguageModel
    serializer_class = LanguageModelSerializer
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[LanguageModel]:
        models = LanguageModel.objects.select_related("provider").order_by("provider__name", "name")
        if self.action != "list":
            return models
        query = self.query
        if provider := query.get("provider"):
            models = models.filter(provider__name=provider)
        return models.filter(name__icontains=query["search"]) if query.get("search") else models

    queries = {"list": ModelQuery}
