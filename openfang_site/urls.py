from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from openfang_site.security.login import login

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    path("admin/", admin.site.urls),
]
