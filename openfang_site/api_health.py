from typing import Any

from asgiref.sync import async_to_sync
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.views.base import ApiView
from openfang_site.health import found


class HealthSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(["ready", "not ready", "stopping"])
    checks = serializers.DictField(child=serializers.ChoiceField(["ok", "failed"]))


class Health(ApiView):
    """Whether the process that answers can take requests: what /readyz says. The status is 503 if it cannot."""

    answers = {"get": HealthSerializer}
    statuses = {"get": ("200", "503")}

    def get(self, request: Request) -> Response:
        status, said = async_to_sync(found)()
        return Response(said, status=status)
