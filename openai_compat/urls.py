from django.urls import re_path

from openai_compat.views.chat_completions import ChatCompletions
from openai_compat.views.models import Model, Models
from openai_compat.views.openapi import OpenAPIDocument
from openai_compat.views.unknown import UnknownEndpoint

urlpatterns = [
    re_path(r"^v1/chat/completions/?$", ChatCompletions.as_view()),
    re_path(r"^v1/models/?$", Models.as_view()),
    re_path(r"^v1/models/(?P<model>.+?)/?$", Model.as_view()),
    re_path(r"^v1/openapi\.json$", OpenAPIDocument.as_view()),
    re_path(r"", UnknownEndpoint.as_view()),
]
