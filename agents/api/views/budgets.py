from typing import Any

from django.db.models import QuerySet

from agents.api.serializers.budgets import BudgetSerializer
from agents.api.views.base import Resource
from agents.models import Budget


class Budgets(Resource):
    """Budgets of keys, of agents and of the server, with what is spent of them in the period that runs."""

    noun = "budgets"
    table = Budget
    serializer_class = BudgetSerializer
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[Any]:
        return Budget.objects.select_related("api_key", "agent").with_current_period().order_by("id")
