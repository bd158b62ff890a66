"""Groups of the web admin's users, made once: what an administrator changes in them stays changed."""

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

VIEWER, EDITOR, ADMINISTRATOR = "Viewer", "Agent editor", "Administrator"

VIEWS = ["view_usagerecord"]
EDITS = [
    *(
        f"{verb}_{table}"
        for table in ("agent", "agentfallback", "agentmcptool")
        for verb in ("view", "add", "change", "delete")
    ),
    "view_memory",
    "delete_memory",
]


def make_roles() -> None:
    """Make the groups that are missing: who may see usage, who may make agents, who may do everything."""
    for name, permissions in (
        (VIEWER, _of_agents(VIEWS)),
        (EDITOR, _of_agents([*VIEWS, *EDITS])),
        (ADMINISTRATOR, Permission.objects.filter(_everything())),
    ):
        group, made = Group.objects.get_or_create(name=name)
        if made:
            group.permissions.set(permissions)


def _of_agents(codenames: list[str]) -> QuerySet[Permission]:
    return Permission.objects.filter(content_type__app_label="agents", codename__in=codenames)


def _everything() -> Q:
    return Q(content_type__app_label="agents") | Q(
        content_type__app_label="auth", content_type__model__in=["user", "group"]
    )
