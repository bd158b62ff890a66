from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from openfang_site.security.login import login

admin.autodiscover()  # not where the apps are loaded: commands have no pages

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    path("admin/", admin.site.urls),
]
