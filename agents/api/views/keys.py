from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.errors import Conflict
from agents.api.serializers.base import named
from agents.api.serializers.keys import IssuedKeySerializer, KeyQuery, KeySerializer, RotationSerializer, issued
from agents.api.views.base import Resource
from agents.models import ApiKey


class Keys(Resource):
    """API keys, each found by its name or its id. They are revoked, not deleted."""

    http_method_names = ["get", "head", "post", "patch"]
    noun = "keys"
    table = ApiKey
    serializer_class = KeySerializer
    takes = {"create": IssuedKeySerializer, "rotate": RotationSerializer}
    answers = {"create": IssuedKeySerializer, "rotate": IssuedKeySerializer, "revoke": KeySerializer}
    queries = {"list": KeyQuery}
    without_body = ("revoke",)

    def get_queryset(self) -> QuerySet[ApiKey]:
        keys = ApiKey.objects.prefetch_related("agents").defer("digest", "previous_digest").order_by("name")
        if self.action == "list" and (search := self.query.get("search")):
            keys = keys.filter(Q(name__icontains=search) | Q(owner__icontains=search) | Q(prefix__startswith=search))
        return keys

    def get_object(self) -> ApiKey:
        return get_object_or_404(self.get_queryset(), named(self.kwargs["id"]))

    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, id: str) -> Response:
        """End the key's life, from the next request on; it cannot be brought back."""
        key = self.get_object()
        if key.revoked_at is None:
            key.revoke()
        return Response(KeySerializer(key).data)

    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, id: str) -> Response:
        """Give the key new characters, which are shown this once; the old ones stay good for a while."""
        key = self.get_object()
        overlap = timedelta(hours=self.body(request)["overlap_hours"])
        if key.state != "active":
            raise Conflict(f"The key is {key.state}; make another one.", code=key.state)
        with transaction.atomic():
            raw = key.rotate(overlap)
        return Response(IssuedKeySerializer(issued(key, raw)).data)
