"""Reading environment variables, loudly: a bad value stops the start with one line that names it."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def env_str(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def env_int(name: str, default: int, *, low: int, high: int) -> int:
    text = env_str(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name}={text!r} is not a whole number from {low} to {high}.")
    return value


def env_bool(name: str, default: bool) -> bool:
    text = env_str(name).lower()
    if not text:
        return default
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={text!r} is neither true nor false.")


def env_list(name: str, default: list[str]) -> list[str]:
    text = env_str(name)
    return [item.strip() for item in text.split(",") if item.strip()] if text else default


def env_path(name: str, default: Path) -> Path:
    text = env_str(name)
    return Path(text).expanduser().resolve() if text else default
