from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display

from agents import playground
from agents.admin.formats import NOTHING, minute
from agents.models import ApiKey, Memory


@admin.register(Memory)
class MemoryAdmin(ModelAdmin):
    """What agents remember for their callers: the agents write it, people may read and delete it."""

    list_display = ["beginning", "agent", "caller", "end_user", "updated"]
    list_filter = [("agent", RelatedDropdownFilter)]
    list_filter_submit = True
    list_select_related = ["agent"]
    list_per_page = 50
    search_fields = ["key", "text"]
    search_help_text = "Key or text"
    fields = ["agent", "key", "text", ("caller", "end_user"), ("created", "updated")]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """Offer no history: nobody changes a memory here."""
        return super().changeform_view(request, object_id, form_url, {"show_history": False, **(extra_context or {})})

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        name_callers(changelist.result_list)
        return changelist

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Memory | None:
        memory: Memory | None = super().get_object(request, object_id, from_field)
        if memory is not None:
            name_callers([memory])
        return memory

    def get_queryset(self, request: HttpRequest) -> QuerySet[Memory]:
        return super().get_queryset(request).order_by("-updated_at", "-id")

    @display(description="Memory", header=True)
    def beginning(self, memory: Memory) -> list[str]:
        return [Truncator(memory.text).chars(80), memory.key]

    @display(description="Remembered for")
    def caller(self, memory: Any) -> str:
        return str(memory.caller)

    @display(description="End user")
    def end_user(self, memory: Any) -> str:
        return memory.end_user or NOTHING

    @display(description="Stored", ordering="updated_at")
    def updated(self, memory: Memory) -> str:
        return minute(memory.updated_at)

    @display(description="First stored")
    def created(self, memory: Memory) -> str:
        return minute(memory.created_at)


def name_callers(memories: Iterable[Any]) -> None:
    """Give memories the names of those for whom they are kept, instead of the ids in their scopes."""
    names: dict[UUID, str] = dict(ApiKey.objects.values_list("pk", "name"))
    staff = User.objects.filter(is_staff=True).values_list("pk", "username")
    names |= {playground.key_id(pk): f"{username}, in the playground" for pk, username in staff}
    for memory in memories:
        asker, _, memory.end_user = memory.scope.partition("/")
        kind, _, of = asker.partition(":")
        if kind == "key":
            memory.caller = names.get(UUID(of), "a key that is gone")
        else:
            memory.caller = f"the address {of}" if kind == "address" else "a caller with a long name"
