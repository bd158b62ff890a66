"""The digest that an image's tag has now, asked of its registry by the OCI distribution API."""

import hashlib
import re
from dataclasses import dataclass
from ipaddress import ip_address

import httpx2

DOCKER_HUB = "registry-1.docker.io"
# An index names the image of every platform, so one digest serves x86-64 and arm64.
MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REFERENCE = re.compile(
    r"(?:(?P<host>localhost(?::\d+)?|[\w-]+(?:\.[\w-]+)+(?::\d+)?|[\w-]+:\d+)/)?"
    r"(?P<name>[a-z0-9][a-z0-9._/-]*)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
SECONDS = 20


class RegistryError(Exception):
    """A registry did not say which digest a tag has; the text is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a compose file names it: `caddy:2.11-alpine`, perhaps with a digest."""

    host: str | None
    name: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, reference: str) -> "Image":
        found = REFERENCE.fullmatch(reference)
        if found is None:
            raise RegistryError(f"{reference!r} is not the name of an image.")
        return cls(**found.groupdict())

    def __str__(self) -> str:
        """Return its name and tag, without the digest."""
        return f"{self.host + '/' if self.host else ''}{self.name}{':' + self.tag if self.tag else ''}"

    @property
    def repository(self) -> str:
        """Docker Hub keeps the images without an owner under `library`."""
        on_hub = self.host in (None, "docker.io")
        return f"library/{self.name}" if on_hub and "/" not in self.name else self.name

    @property
    def registry(self) -> str:
        """Return the registry's URL; as for Docker, one on this machine speaks plain HTTP."""
        host = DOCKER_HUB if self.host in (None, "docker.io") else self.host
        return f"{'http' if _is_loopback(host) else 'https'}://{host}"


class Registry:
    """Asks registries for digests; `mirror` is the URL of one to ask in place of Docker Hub."""

    def __init__(self, mirror: str | None = None) -> None:
        self._mirror = mirror.rstrip("/") if mirror else None
        self._client = httpx2.Client(timeout=SECONDS, follow_redirects=True)

    def close(self) -> None:
        self._client.close()

    def digest(self, image: Image) -> str:
        on_hub = image.host in (None, "docker.io")
        base = self._mirror if on_hub and self._mirror else image.registry
        url = f"{base}/v2/{image.repository}/manifests/{image.tag or 'latest'}"
        try:
            headers = {"Accept": ", ".join(MEDIA_TYPES)}
            answer = self._client.head(url, headers=headers)
            if answer.status_code == httpx2.codes.UNAUTHORIZED:
                headers["Authorization"] = f"Bearer {self._token(image, answer)}"
                answer = self._client.head(url, headers=headers)
            _check(image, answer)
            digest = answer.headers.get("Docker-Content-Digest", "")
            if not digest:  # it is optional; the digest is that of the manifest's bytes
                answer = self._client.get(url, headers=headers)
                _check(image, answer)
                digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise RegistryError(f"The registry of {image} cannot be reached: {error or type(error).__name__}") from None
        if not DIGEST.fullmatch(digest):
            raise RegistryError(f"The registry of {image} gave no SHA-256 digest: {digest[:80]!r}.")
        return digest

    def _token(self, image: Image, refusal: httpx2.Response) -> str:
        """Return an anonymous token from the address that the registry's refusal names."""
        scheme, _, rest = refusal.headers.get("WWW-Authenticate", "").partition(" ")
        challenge = dict(CHALLENGE.findall(rest))
        realm = challenge.get("realm", "")
        if scheme.lower() != "bearer" or not realm.startswith(("https://", f"{refusal.url.scheme}://")):
            raise RegistryError(f"The registry of {image} wants credentials. Pin this image by hand.")
        wanted = {"service": challenge.get("service", ""), "scope": f"repository:{image.repository}:pull"}
        answer = self._client.get(realm, params={name: value for name, value in wanted.items() if value})
        try:
            granted = answer.json()
            return str(granted.get("token") or granted["access_token"])
        except (ValueError, AttributeError, KeyError):
            raise RegistryError(
                f"The registry of {image} gave no token (status {answer.status_code}). Pin this image by hand."
            ) from None


def _check(image: Image, answer: httpx2.Response) -> None:
    if answer.status_code == httpx2.codes.NOT_FOUND:
        raise RegistryError(f"The registry has no {image}. Correct its name or tag.")
    if answer.status_code in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
        raise RegistryError(f"The registry of {image} wants credentials. Pin this image by hand.")
    if not answer.is_success:
        raise RegistryError(f"The registry of {image} answered {answer.status_code}. Try again later.")


def _is_loopback(host: str) -> bool:
    name = host.partition(":")[0]
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
