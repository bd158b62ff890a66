from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from agents.admin.audit import audit_log
from openfang_site.api_health import Health
from openfang_site.security.login import login

admin.autodiscover()  # not where the apps are loaded: commands have no pages

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    path("admin/audit/", admin.site.admin_view(audit_log), name="audit_log"),
    path("admin/", admin.site.urls),
    path("api/health", Health.as_view()),
    path("api", RedirectView.as_view(pattern_name="api-docs")),
    path("api/", include("agents.api.urls")),
]
handler400 = "openfang_site.error_pages.bad_request"
handler500 = "openfang_site.error_pages.server_error"
