from typing import Any, NoReturn

from django.db import transaction
from django.db.models import Model
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer
from rest_framework.views import APIView
from rest_framework.viewsets import ModelViewSet

from agents.api.authentication import AdminSession, BearerToken
from agents.api.errors import exception_handler
from agents.api.pagination import Pages
from agents.api.parsers import JSONBody
from agents.api.permissions import WithinScopes
from agents.api.throttling import RequestsPerMinute


class ApiView(APIView):
    """An endpoint of the management API: `noun` is that of its scopes, `table` that of the permissions it needs.

    `takes`, `answers` and `queries` name, by action or method, the serializers of bodies, answers and query strings,
    which are checked and documented by them.
    """

    authentication_classes: Any = [BearerToken, AdminSession]
    permission_classes: Any = [WithinScopes]
    throttle_classes: Any = [RequestsPerMinute]
    parser_classes = [JSONBody]
    renderer_classes: Any = [JSONRenderer]
    metadata_class = None
    http_method_names = ["get", "head", "post", "patch", "delete"]
    noun = ""
    table: type[Model] | None = None
    takes: dict[str, type[BaseSerializer[Any]]] = {}
    answers: dict[str, Any] = {}
    queries: dict[str, type[Serializer[Any]]] = {}
    statuses: dict[str, tuple[str, ...]] = {}  # of answers that are no errors, where they are not the usual ones
    without_body: tuple[str, ...] = ()
    asks_others: tuple[str, ...] = ()  # of operations that another server may fail

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.answer_headers: dict[str, str] = {}
        super().initial(request, *args, **kwargs)

    def check_permissions(self, request: Request) -> None:
        name = (request.method or "").lower()
        if name not in self.http_method_names or not hasattr(self, name):
            self.http_method_not_allowed(request)
        super().check_permissions(request)

    @property
    def operation(self) -> str:
        return getattr(self, "action", None) or (self.request.method or "get").lower().replace("head", "get")

    @property
    def query(self) -> dict[str, Any]:
        """Return what the query string asks for, checked. Raises ValidationError."""
        serializer = self.queries[self.operation](data=self.request.query_params.dict())
        serializer.is_valid(raise_exception=True)
        checked: dict[str, Any] = serializer.validated_data
        return checked

    def body(self, request: Request) -> dict[str, Any]:
        """Return what the body says, checked. Raises ValidationError."""
        serializer = self.takes[self.operation](data=request.data, context={"request": request, "view": self})
        serializer.is_valid(raise_exception=True)
        checked: dict[str, Any] = serializer.validated_data
        return checked

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        finished = super().finalize_response(request, response, *args, **kwargs)
        for name, value in getattr(self, "answer_headers", {}).items():
            finished[name] = value
        # What is answered is for its bearer alone, and a key that is shown once must not be kept on the way.
        finished.headers.setdefault("Cache-Control", "no-store")
        return finished

    def get_exception_handler(self) -> Any:
        return exception_handler


class Resource(ApiView, ModelViewSet[Any]):
    """Rows that are listed, made, read, changed and deleted."""

    pagination_class = Pages
    filter_backends: Any = []
    lookup_url_kwarg = "id"
    lookup_value_regex = "[^/]+"

    def get_serializer_class(self) -> Any:
        return self.takes.get(self.action) or super().get_serializer_class()

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        with transaction.atomic():
            serializer.save()

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        with transaction.atomic():
            serializer.save()

    def perform_destroy(self, instance: Model) -> None:
        with transaction.atomic():
            instance.delete()


class UnknownEndpoint(ApiView):
    """Any other path below /api: says where it is told what there is."""

    authentication_classes: Any = []
    permission_classes: Any = []
    throttle_classes: Any = []
    schema = None

    def get(self, request: Request, **_: Any) -> NoReturn:
        path = request.path[:200]
        hint = "Paths end without a slash." if path.endswith("/") else "GET /api/schema lists what there is."
        raise NotFound(f"There is no {request.method} {path}. {hint}", code="unknown_url")

    post = patch = delete = put = get
