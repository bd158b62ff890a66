from dataclasses import asdict

from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.pagination import Whole
from agents.api.serializers.agents import ProfileSerializer
from agents.api.views.base import ApiView
from agents.models import Agent
from agents.profiles import load_profile, profile_names


class Profiles(ApiView):
    """The ready-made agents that new ones can be made from."""

    noun = "agents"
    table = Agent
    answers = {"get": ProfileSerializer(many=True)}
    pagination_class = Whole

    def get(self, request: Request) -> Response:
        found = [asdict(load_profile(name)) for name in profile_names()]
        return self.pagination_class().get_paginated_response(ProfileSerializer(found, many=True).data)
