"""Every setting of the project; the only place that reads environment variables (docs/settings.md)."""

from pathlib import Path
from socket import gethostname
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from agents import __version__
from agents.private_files import make_private_file
from openfang_site import admin_theme
from openfang_site.env import (
    cores,
    env_api_key,
    env_base_url,
    env_bool,
    env_choice,
    env_exposed_variables,
    env_header_value,
    env_hosts,
    env_http_url,
    env_int,
    env_list,
    env_networks,
    env_origins,
    env_path,
    env_proxies,
    env_redis_url,
    env_root_path,
    env_str,
    env_trusted_origins,
)
from openfang_site.secret_key import kept_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

# --- OpenFang -----------------------------------------------------------------------------------------------------
OPENFANG_DATA_DIR = env_path("OPENFANG_DATA_DIR", (BASE_DIR / "data").resolve())
OPENFANG_HOST = env_str("OPENFANG_HOST", "127.0.0.1")
OPENFANG_PORT = env_int("OPENFANG_PORT", 4200, low=0, high=65535)
# The path below which all is served, on a host that other services share; empty: the host is ours.
OPENFANG_ROOT_PATH = env_root_path("OPENFANG_ROOT_PATH")
OPENFANG_DEFAULT_PROVIDER = env_str("OPENFANG_DEFAULT_PROVIDER")
OPENFANG_DEFAULT_MODEL = env_str("OPENFANG_DEFAULT_MODEL")
# Where a service has the embedded model that several servers share.
OPENFANG_EMBEDDED_URL = env_base_url("OPENFANG_EMBEDDED_URL")
OPENFANG_FALLBACK_TO_FIRST_AGENT = env_bool("OPENFANG_FALLBACK_TO_FIRST_AGENT", True)
OPENFANG_MAX_BODY_BYTES = env_int("OPENFANG_MAX_BODY_BYTES", 32 * 1024 * 1024, low=1024, high=1024**3)
# Without a byte from a provider; a reasoning model may think for minutes before its first.
OPENFANG_PROVIDER_IDLE_SECONDS = env_int("OPENFANG_PROVIDER_IDLE_SECONDS", 120, low=1, high=3600)
OPENFANG_DRAIN_SECONDS = env_int("OPENFANG_DRAIN_SECONDS", 20, low=0, high=3600)
# Whether shell commands run without a sandbox, with the rights of the server's user, where none works.
OPENFANG_SHELL_UNSANDBOXED = env_bool("OPENFANG_SHELL_UNSANDBOXED", False)
# Whether the programs of MCP servers are kept from looking into other processes (Landlock).
OPENFANG_ENCLOSE_PROGRAMS = env_bool("OPENFANG_ENCLOSE_PROGRAMS", True)
OPENFANG_SHELL_NETWORK = env_bool("OPENFANG_SHELL_NETWORK", False)
OPENFANG_TRANSCRIPT_HOURS = env_int("OPENFANG_TRANSCRIPT_HOURS", 24, low=0, high=24 * 30)
# What one request may have agents ask of other agents, with all that those ask in turn.
OPENFANG_ASK_RUNS = env_int("OPENFANG_ASK_RUNS", 32, low=0, high=10_000)
OPENFANG_ASK_PARALLEL = env_int("OPENFANG_ASK_PARALLEL", 4, low=1, high=1000)
OPENFANG_ASK_LLM_CALLS = env_int("OPENFANG_ASK_LLM_CALLS", 128, low=0, high=100_000)
OPENFANG_ASK_TOOL_CALLS = env_int("OPENFANG_ASK_TOOL_CALLS", 256, low=0, high=100_000)
OPENFANG_KEEP_TOOL_ARGUMENTS = env_bool("OPENFANG_KEEP_TOOL_ARGUMENTS", False)
# Days that prompts and answers are kept, encrypted; 0: they are not stored.
OPENFANG_STORE_CONTENT_DAYS = env_int("OPENFANG_STORE_CONTENT_DAYS", 0, low=0, high=3650)
# Days that texts are kept, encrypted, that the database refused.
OPENFANG_QUARANTINE_DAYS = env_int("OPENFANG_QUARANTINE_DAYS", 30, low=1, high=3650)
# Days that usage rows are kept, of which the sums remain; 0: for ever.
OPENFANG_USAGE_DAYS = env_int("OPENFANG_USAGE_DAYS", 0, low=0, high=3650)
# Hosts, addresses and networks (with a port or without) that web_fetch may reach although they are private.
OPENFANG_FETCH_ALLOW = env_list("OPENFANG_FETCH_ALLOW", [])
# What this server's own calls go through; web_fetch uses none.
PROXIES = env_proxies()
OPENFANG_SEARCH_URL = env_str("OPENFANG_SEARCH_URL")
BRAVE_API_KEY = env_header_value("BRAVE_API_KEY")
REDIS_URL = env_redis_url("REDIS_URL")
# Processes that serve. Limits are counted together, and live pages told, through Redis alone.
OPENFANG_WORKERS = env_int("OPENFANG_WORKERS", min(cores(), 4) if REDIS_URL else 1, low=1, high=64)

# --- Keys, limits and budgets (docs/limits.md) --------------------------------------------------------------------
# Opens every agent, without a row of its own.
OPENFANG_API_KEY = env_api_key("OPENFANG_API_KEY")
# The first administrator's; without it one is made and shown.
OPENFANG_ADMIN_PASSWORD = env_str("OPENFANG_ADMIN_PASSWORD")
# Where X-Forwarded-For is believed.
OPENFANG_TRUSTED_PROXIES = env_networks("OPENFANG_TRUSTED_PROXIES")
# Requests a minute per address, while there are no keys.
OPENFANG_OPEN_RPM = env_int("OPENFANG_OPEN_RPM", 0, low=0, high=1_000_000)
# From one address, before it is refused.
OPENFANG_WRONG_KEYS_PER_MINUTE = env_int("OPENFANG_WRONG_KEYS_PER_MINUTE", 20, low=1, high=1_000_000)
OPENFANG_LIMITS_WITHOUT_REDIS = env_choice("OPENFANG_LIMITS_WITHOUT_REDIS", "local", ("local", "refuse"))
OPENFANG_UNKNOWN_PRICE = env_choice("OPENFANG_UNKNOWN_PRICE", "highest", ("highest", "free", "refuse"))
OPENFANG_ALERT_WEBHOOK = env_http_url("OPENFANG_ALERT_WEBHOOK")
OPENFANG_ALERT_SECRET = env_str("OPENFANG_ALERT_SECRET")
if OPENFANG_ALERT_WEBHOOK and not OPENFANG_ALERT_SECRET:
    raise ImproperlyConfigured("OPENFANG_ALERT_WEBHOOK needs OPENFANG_ALERT_SECRET, with which its calls are signed.")
OPENFANG_ALERT_EMAIL = env_list("OPENFANG_ALERT_EMAIL", [])
EMAIL_HOST = env_str("EMAIL_HOST", "localhost")
EMAIL_PORT = env_int("EMAIL_PORT", 25, low=1, high=65535)
EMAIL_HOST_USER = env_str("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env_str("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env_bool("EMAIL_USE_TLS", False)
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env_str("DEFAULT_FROM_EMAIL", "openfang@localhost")

# --- Logs, metrics and traces (docs/observability.md) -------------------------------------------------------------
OPENFANG_LOG_FORMAT = env_choice("OPENFANG_LOG_FORMAT", "text", ("text", "json"))
# Who may read /metrics besides this machine: networks, and bearers of the token.
OPENFANG_METRICS_NETWORKS = env_networks("OPENFANG_METRICS_NETWORKS")
OPENFANG_METRICS_TOKEN = env_api_key("OPENFANG_METRICS_TOKEN")
# OpenTelemetry's packages read these, and more of the kind, themselves.
OPENFANG_TRACES = bool(env_str("OTEL_EXPORTER_OTLP_ENDPOINT") or env_str("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))

# --- Security (docs/security.md) ----------------------------------------------------------------------------------
# Environment variables whose values providers and MCP servers may send, beside the keys of the catalog's providers.
OPENFANG_EXPOSED_VARIABLES = env_exposed_variables("OPENFANG_EXPOSED_VARIABLES")
# Whether people reach the server by HTTPS only, through a proxy that ends it and says so in X-Forwarded-Proto.
OPENFANG_HTTPS = env_bool("OPENFANG_HTTPS", False)
if OPENFANG_HTTPS and not OPENFANG_TRUSTED_PROXIES:
    raise ImproperlyConfigured(
        "OPENFANG_HTTPS needs OPENFANG_TRUSTED_PROXIES: the network of the proxy that ends HTTPS, such as 127.0.0.1."
    )
# Web pages of these origins may call /v1; * is every page.
OPENFANG_CORS_ORIGINS = env_origins("OPENFANG_CORS_ORIGINS")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")  # TrustedProxies takes it from everybody else
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = OPENFANG_HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if OPENFANG_HTTPS else 0
SESSION_ENGINE = "agents.sessions"
SESSION_COOKIE_AGE = 7 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{OPENFANG_ROOT_PATH}/"  # a neighbour on the host does not get them
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
DEFAULT_EXCEPTION_REPORTER_FILTER = "openfang_site.security.redaction.ReporterFilter"
# HSTS for subdomains and in browsers' lists speaks for servers that are not this one.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

# --- Django -------------------------------------------------------------------------------------------------------
DEBUG = env_bool("OPENFANG_DEBUG", False)
SECRET_KEY = env_str("OPENFANG_SECRET_KEY") or kept_secret_key(OPENFANG_DATA_DIR)
SECRET_KEY_FALLBACKS = env_list("OPENFANG_SECRET_KEY_FALLBACKS", [])
ALLOWED_HOSTS = env_hosts("OPENFANG_ALLOWED_HOSTS", ["localhost", ".localhost", "127.0.0.1", "[::1]", gethostname()])
CSRF_TRUSTED_ORIGINS = env_trusted_origins("OPENFANG_TRUSTED_ORIGINS")
ROOT_URLCONF = "openfang_site.urls"
ASGI_APPLICATION = "openfang_site.asgi.application"
INSTALLED_APPS = [
    "unfold",  # before the admin, whose site and templates it replaces
    "unfold.contrib.filters",
    "django.contrib.admin.apps.SimpleAdminConfig",  # urls.py finds its pages: they take 0.7 s, and commands need none
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular_sidecar",  # the files of /api/docs
    "channels",
    "django_ratelimit",
    "simple_history",
    "agents",
    "openai_compat",
    "openfang_site",
]
MIDDLEWARE = [
    "openfang_site.security.headers.SecurityHeaders",  # the first, so that refusals of the others have them too
    "openfang_site.security.proxies.TrustedProxies",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",  # tells the history who makes a change
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
UNFOLD = admin_theme.UNFOLD
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
STATIC_URL = f"{OPENFANG_ROOT_PATH}/static/"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def database() -> dict[str, Any]:
    url = env_str("DATABASE_URL", f"sqlite:///{OPENFANG_DATA_DIR / 'openfang.sqlite3'}")
    try:
        config: dict[str, Any] = dict(dj_database_url.parse(url))
    except (ValueError, KeyError) as error:
        raise ImproperlyConfigured(f"DATABASE_URL is not the URL of a database: {type(error).__name__}.") from None
    if config["ENGINE"].endswith("sqlite3"):
        if config["NAME"] != ":memory:":
            make_private_file(Path(config["NAME"]))  # its -wal and -shm files take over its mode
        config["OPTIONS"] = {
            # Writers wait for each other instead of failing when a read turns into a write.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    else:
        # The usage writer, the lease, the snapshot and the admin hold one each.
        options = config.setdefault("OPTIONS", {})
        # After 10 s a try to connect begins anew: the pool makes longer and longer pauses (up to 24 s in 40, measured).
        options["pool"] = {"min_size": 1, "max_size": 4, "timeout": 10, "reconnect_timeout": 10}
        # A machine that is gone without a word; by themselves the systems give it up after minutes.
        options.setdefault("connect_timeout", 5)
        options.setdefault("tcp_user_timeout", 30_000)
        # A process that is stopped or cut off within a transaction must not keep the others out for hours.
        options.setdefault("options", "-c idle_in_transaction_session_timeout=30s -c lock_timeout=20s")
    return config


DATABASES = {"default": database()}

if REDIS_URL:
    CACHES: dict[str, Any] = {
        "default": {"BACKEND": "agents.limits.cache.RedisOrLocal", "LOCATION": REDIS_URL},
        "requests": {"BACKEND": "agents.limits.cache.RequestCounts", "LOCATION": REDIS_URL},
    }
    RATELIMIT_USE_CACHE = "requests"
    # django-ratelimit knows Redis by the names of other packages only.
    SILENCED_SYSTEM_CHECKS += ["django_ratelimit.W001"]
else:
    CACHES = {
        "default": {
            "BACKEND": "agents.limits.local_cache.LocalCache",
            # Django's 300 would throw counters away while they count.
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    }
    # One process serves, so the cache need not be shared.
    SILENCED_SYSTEM_CHECKS += ["django_ratelimit.E003", "django_ratelimit.W001"]

# What tells the admin's live pages that requests have begun or ended.
CHANNEL_LAYERS: dict[str, Any] = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # A page asks Redis to hold its question for 5 s, which is when redis-py would give an answer up.
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 10}], "prefix": "openfang"},
        }
    }

# Under ASGI a shared, persistent connection per thread is never given back; the pool keeps PostgreSQL's.
CONN_MAX_AGE = 0

REST_FRAMEWORK = {
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "OpenFang's management API",
    "DESCRIPTION": "Agents, keys, budgets, providers, MCP servers and usage, for programs: what the web admin can do.",
    "VERSION": __version__,
    "SCHEMA_PATH_PREFIX": "/api/",
    "SERVERS": [{"url": OPENFANG_ROOT_PATH}] if OPENFANG_ROOT_PATH else [],
    "COMPONENT_SPLIT_REQUEST": True,  # what is never shown, such as a provider's key, is in no answer's schema
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {"StatusEnum": "agents.models.Status"},
}

LOG_LEVEL = env_choice("OPENFANG_LOG_LEVEL", "info", ("debug", "info", "warning", "error", "critical")).upper()
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {
            "()": "openfang_site.observability.lines.TextLines",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
        "json": {"()": "openfang_site.observability.lines.JSONLines"},
    },
    "filters": {"strangers": {"()": "openfang_site.observability.lines.StrangersMistakes"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": OPENFANG_LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": "WARNING" if LOG_LEVEL == "INFO" else LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        "django.security.DisallowedHost": {"filters": ["strangers"]},
        "agents": {"level": LOG_LEVEL},
        "openai_compat": {"level": LOG_LEVEL},
        "openfang_site": {"level": LOG_LEVEL},
    },
}
