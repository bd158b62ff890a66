from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from agents.admin.audit import audit_log
from openfang_site.security.login import login

admin.autodiscover()  # not where the apps are loaded: commands have no pages

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    path("admin/audit/", admin.site.admin_view(audit_log), name="audit_log"),
    path("admin/", admin.site.urls),
]
