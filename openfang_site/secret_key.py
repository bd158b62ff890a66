import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from agents.private_files import make_private_dir


def kept_secret_key(data_dir: Path) -> str:
    """Return the secret key kept in the data directory, making it at the first start."""
    path = data_dir / "secret_key"
    try:
        make_private_dir(data_dir)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(
            f"The data directory {data_dir} cannot be written ({error.strerror}). "
            "Set OPENFANG_DATA_DIR to one that can."
        ) from error
    try:
        key = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{path} cannot be read ({error.strerror}).") from error
    if not key:
        raise ImproperlyConfigured(f"{path} is empty. Delete it, and the next start makes a new one.")
    return key
