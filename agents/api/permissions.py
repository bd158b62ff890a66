from typing import TYPE_CHECKING

from rest_framework.exceptions import ErrorDetail, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from agents.models import AdminToken, Scope
from agents.programs import may_run_programs

if TYPE_CHECKING:
    from agents.api.views.base import ApiView

VERBS = {"list": "view", "retrieve": "view", "create": "add", "clone": "add", "destroy": "delete"}
NO_PROGRAMS = "Only an administrator may give agents programs of the server's machine: the shell, MCP over stdio."


def programs_refusal(request: Request) -> ErrorDetail | None:
    """Return why a caller may not set up programs of the server's machine, or None if they may."""
    if not may_run_programs(request.user):
        return ErrorDetail(NO_PROGRAMS, code="permission_denied")
    if isinstance(request.auth, AdminToken) and not request.auth.covers(Scope.PROGRAMS_WRITE):
        missing = f"This token does not have the scope {Scope.PROGRAMS_WRITE}, which the shell and MCP over stdio need."
        return ErrorDetail(missing, code="insufficient_scope")
    return None


class WithinScopes(BasePermission):
    """Lets a token do what its scopes say, and everybody what their role in the web admin allows."""

    def has_permission(self, request: Request, view: "ApiView") -> bool:  # type: ignore[override]
        if request.user is None:
            return False
        reads = request.method in SAFE_METHODS
        if view.noun and isinstance(request.auth, AdminToken):
            scope = f"{view.noun}:{'read' if reads else 'write'}"
            if not request.auth.covers(scope):
                raise PermissionDenied(f"This token does not have the scope {scope}.", code="insufficient_scope")
        if view.table is not None:
            verb = VERBS.get(getattr(view, "action", None) or "", "view" if reads else "change")
            permission = f"agents.{verb}_{view.table._meta.model_name}"
            if not request.user.has_perm(permission):
                raise PermissionDenied(f"The role of {request.user} does not allow this: it lacks {permission}.")
        return True
