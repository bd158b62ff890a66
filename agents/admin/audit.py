"""The audit log: who changed what, and when, in all that administrators change."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from agents.admin.audit_query import KINDS, NOBODY, SOURCES, AuditQuery, Source
from agents.admin.differences import VERBS, Comparison, Difference, who, why
from agents.admin.formats import moment
from agents.models import Budget, changes_of

PEOPLE = 200


@dataclass
class Entry:
    """A change as the page shows it; the URLs are empty for what is deleted."""

    when: str
    who: str
    why: str
    verb: str
    kind: str
    name: str
    part: str
    url: str
    history_url: str
    differences: list[Difference]


def may_see(request: HttpRequest) -> bool:
    """Return whether somebody may see the changes of everything: administrators may."""
    tables = (changes_of(source.table).model._meta.model_name for source in SOURCES)
    return request.user.has_perms([f"agents.view_{name}" for name in tables])


def audit_log(request: HttpRequest) -> HttpResponse:
    if not may_see(request):
        raise PermissionDenied
    query = AuditQuery.read(request.GET)
    versions, following = query.page()
    context = {
        **admin.site.each_context(request),
        "title": "Audit log",
        "query": query,
        "kinds": [(kind, label) for kind, (label, _) in KINDS.items()],
        "people": [(NOBODY, "Commands, and unknown"), *_people(query)],
        "entries": entries(versions),
        "older_url": query.url(before=following) if following else "",
        "newest_url": query.url() if query.before else "",
    }
    return TemplateResponse(request, "admin/audit.html", context)


def _people(query: AuditQuery) -> list[tuple[str, str]]:
    """Return who may be chosen: who can log in to the admin, and who is chosen."""
    staff = User.objects.filter(is_staff=True).order_by("username").values_list("pk", "username")
    people = {str(pk): name for pk, name in staff[:PEOPLE]}
    if query.person and query.person != NOBODY:
        people.setdefault(query.person, f"the user {query.person}")
    return list(people.items())


def entries(versions: Sequence[tuple[Source, Any]]) -> list[Entry]:
    """Return a page of changes, each with what it changed; all that they name is looked up at once."""
    before = _previous(versions)
    compared = Comparison([*(version for _, version in versions), *before.values()])
    there = _still_there(versions)
    found = []
    for source, version in versions:
        label, table = KINDS[source.kind]
        owner = getattr(version, source.owner)
        page = f"admin:agents_{table._meta.model_name}"
        name, part = _names(compared, source, version)
        known = owner in there[source.kind]
        previous = before.get((source.table, version.previous_id))
        found.append(
            Entry(
                moment(version.history_date),
                who(version),
                why(version),
                VERBS[version.history_type],
                label,
                name,
                part,
                reverse(f"{page}_change", args=[owner]) if known else "",
                AuditQuery(kind=source.kind, object=str(owner)).url(),
                _differences(compared, source, previous, version),
            )
        )
    return found


def _names(compared: Comparison, source: Source, version: Any) -> tuple[str, str]:
    """Return the name of a thing, and of the part of it that was changed."""
    name = compared.name(version, source.named_by, source.between)
    if source.part:
        return compared.name(version, [source.owner_column]), f"{source.part} {name}".strip()
    whole = source.table is Budget and version.api_key_id is None and version.agent_id is None
    return f"this server, {name}" if whole else name, ""


def _differences(compared: Comparison, source: Source, previous: Any, version: Any) -> list[Difference]:
    if version.history_type == "-" or (version.history_type == "~" and previous is None):
        return []
    return compared.of(previous, version, named_by=(*source.named_by, source.owner_column))


def _previous(versions: Sequence[tuple[Source, Any]]) -> dict[tuple[type[Model], int], Any]:
    """Return the versions before those given, by table and id."""
    wanted: dict[type[Model], list[int]] = defaultdict(list)
    for source, version in versions:
        if version.previous_id is not None and version.history_type == "~":
            wanted[source.table].append(version.previous_id)
    return {
        (table, pk): version for table, ids in wanted.items() for pk, version in changes_of(table).in_bulk(ids).items()
    }


def _still_there(versions: Sequence[tuple[Source, Any]]) -> dict[str, set[Any]]:
    """Return the keys of the things that are not deleted, by kind."""
    wanted: dict[str, set[Any]] = defaultdict(set)
    for source, version in versions:
        wanted[source.kind].add(getattr(version, source.owner))
    return {
        kind: set(KINDS[kind][1]._default_manager.filter(pk__in=pks).values_list("pk", flat=True))
        for kind, pks in wanted.items()
    }
