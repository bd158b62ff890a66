"""How drf-spectacular reads the endpoints of this API: from what they take, answer and ask for."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework.serializers import ListSerializer

from agents.api.views.base import ApiView

ERRORS = {
    "400": "The request is not valid; `param` names the place.",
    "401": "The admin token is missing or wrong.",
    "403": "The token's scopes, or its owner's role, do not allow this.",
    "404": "There is nothing of this name or id.",
    "405": "The endpoint has no such method.",
    "406": "Answers are JSON only.",
    "409": "As things are, this cannot be: it is in use, or somebody else has just changed it.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "429": "Too many requests, or too many wrong tokens; `retry-after` says when to ask again.",
    "500": "The server failed.",
    "502": "Another server that had to be asked does not answer, or not as it should.",
    "503": "The database or the limits cannot be asked at the moment.",
}
USUAL = {
    "list": "List {several}",
    "create": "Make {one}",
    "retrieve": "Show {one}",
    "partial_update": "Change {one}",
    "destroy": "Delete {one}",
}
# What databases can store at most is no help to whoever reads the document.
LARGEST = 2**31 - 1
WITH_BODY = {"400", "409", "413", "415"}
ERROR = {
    "type": "object",
    "description": "Every error, whatever its status.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string", "enum": ["invalid_request_error", "rate_limit_error", "api_error"]},
                "param": {"type": "string", "nullable": True, "description": "The place, as in `mcp_tools[0].server`."},
                "code": {"type": "string"},
            },
        }
    },
}


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "agents.api.authentication.BearerToken"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An admin token, `ofa_...`."}


class AdminSessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "agents.api.authentication.AdminSession"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The web admin's session; what changes something needs its CSRF token in `X-CSRFToken`.",
        }


class Operations(AutoSchema):
    """Reads an operation from `takes`, `answers` and `queries` of its endpoint."""

    view: Any

    def get_request_serializer(self) -> Any:
        takes = self.view.takes.get(self.view.operation)
        if takes is not None:
            return takes
        return None if self.view.operation in self.view.without_body else super().get_request_serializer()

    def get_response_serializers(self) -> Any:
        return self.view.answers.get(self.view.operation) or super().get_response_serializers()

    def get_override_parameters(self) -> list[Any]:
        query = self.view.queries.get(self.view.operation)
        return [] if query is None else [query]

    def get_tags(self) -> list[str]:
        return [self.path.split("/")[2]]

    def get_operation_id(self) -> str:
        action = getattr(self.view, "action", None)
        if action in USUAL:
            usual: str = super().get_operation_id()
            return usual
        return "_".join([*self.get_tags(), action] if action else self.path.split("/")[2:]).replace("-", "_")

    def get_summary(self) -> str:
        """Say in a line what an operation does: by its own words, or of the usual ones by those for all of them."""
        if (usual := USUAL.get(self.view.operation)) and self.view.table is not None:
            names = self.view.table._meta
            article = "an" if str(names.verbose_name)[0] in "aeiouAM" else "a"
            return usual.format(one=f"{article} {names.verbose_name}", several=names.verbose_name_plural)
        first: str = self.get_description().partition("\n")[0].partition(". ")[0]
        return first.rstrip(".")

    def _is_list_view(self, serializer: Any = None) -> bool:
        answers = self.view.answers.get(self.view.operation)
        if answers is not None:
            return isinstance(answers, ListSerializer)
        return super()._is_list_view(serializer)

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        answers: dict[str, Any] = super()._get_response_bodies(direction)
        if statuses := self.view.statuses.get(self.view.operation):
            answers = dict.fromkeys(statuses, next(iter(answers.values())))
        wanted = {"401", "403", "405", "406", "429", "500", "503"}
        wanted |= {"404"} if "{" in self.path else set()
        wanted |= {"400"} if self.view.operation in self.view.queries or self._is_list_view() else set()
        wanted |= WITH_BODY if self.method in ("POST", "PATCH") else set()
        wanted |= {"409"} if self.method == "DELETE" else set()
        wanted |= {"502"} if self.view.operation in self.view.asks_others else set()
        body = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        errors = {status: {"description": ERRORS[status], "content": body} for status in sorted(wanted)}
        return errors | answers


def generated() -> dict[str, Any]:
    """Return the OpenAPI document of every endpoint below /api."""
    # Only now: DRF's routers look at every attribute of a view, and would load all this at the start.
    ApiView.schema = Operations()
    document: dict[str, Any] = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    document["components"]["schemas"]["Error"] = ERROR
    _forget_largest(document["components"])
    return document


def _forget_largest(part: Any) -> None:
    if isinstance(part, dict):
        if part.get("type") == "integer" and part.get("maximum", 0) >= LARGEST:
            del part["maximum"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            _forget_largest(inner)
