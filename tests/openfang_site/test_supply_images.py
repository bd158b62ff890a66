"""`openfang images pin` against a registry that is played over HTTP, with tokens as Docker Hub asks for them."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from openfang_site.supply_chain.registry import Image
from tests.agents.command_line import command, refused

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}'
A, B = (f"sha256:{letter * 64}" for letter in "ab")

COMPOSE = """\
# A comment, kept.
services:
  proxy:
    image: caddy:2.11-alpine # why this one
    ports: ["80:80"]   # image: not-an-image:1
  db:
    image:   "postgres:17-alpine"
  own: {build: .}
  server:
    image: openfang
  chosen:
    image: ${IMAGE}
"""


class ScriptedRegistry:
    """A registry with the digests it was given; it wants a token unless `is_open`."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.is_open = False
        self.says_digest = True
        self.status: int | None = None
        self.scopes: list[str] = []
        self.accepted: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                registry.serve(self)

            do_GET = do_HEAD

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        if url.path == "/token":
            asked = parse_qs(url.query)
            assert asked["service"] == ["scripted"]
            self.scopes += asked["scope"]
            return self.answer(request, 200, json.dumps({"token": f"for {asked['scope'][0]}"}).encode())
        _, _, rest = url.path.partition("/v2/")
        name, _, tag = rest.partition("/manifests/")
        if not self.is_open and request.headers["Authorization"] != f"Bearer for repository:{name}:pull":
            challenge = f'Bearer realm="{self.url}/token",service="scripted",scope="repository:{name}:pull"'
            return self.answer(request, 401, b"", **{"WWW-Authenticate": challenge})
        self.accepted.append(request.headers["Accept"])
        if self.status is not None:
            return self.answer(request, self.status, b"")
        if f"{name}:{tag}" not in self.digests:
            return self.answer(request, 404, b"")
        headers = {"Docker-Content-Digest": self.digests[f"{name}:{tag}"]} if self.says_digest else {}
        return self.answer(request, 200, MANIFEST, **headers)

    def answer(self, request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


@pytest.fixture
def registry() -> Iterator[ScriptedRegistry]:
    scripted = ScriptedRegistry()
    scripted.digests = {"library/caddy:2.11-alpine": A, "library/postgres:17-alpine": B}
    thread = Thread(target=scripted.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield scripted
    scripted.server.shutdown()
    scripted.server.server_close()
    thread.join()


@pytest.fixture
def compose(tmp_path: Path) -> Path:
    file = tmp_path / "docker-compose.yml"
    file.write_text(COMPOSE)
    return file


def pin(registry: ScriptedRegistry, file: Path, *options: str) -> str:
    return command("images", "pin", "--mirror", registry.url, "--file", str(file), *options).out


def test_it_writes_the_digests_behind_the_tags_and_changes_nothing_else(registry, compose):
    out = pin(registry, compose)
    assert compose.read_text() == COMPOSE.replace("caddy:2.11-alpine", f"caddy:2.11-alpine@{A}").replace(
        "postgres:17-alpine", f"postgres:17-alpine@{B}"
    )
    assert [line.split() for line in out.splitlines()] == [
        ["FILE", "IMAGE", "WAS", "IS"],
        ["docker-compose.yml", "caddy:2.11-alpine", "-", A],
        ["docker-compose.yml", "postgres:17-alpine", "-", B],
    ]


def test_it_asks_with_a_token_of_each_repository_and_for_the_index_of_all_platforms(registry, compose):
    pin(registry, compose)
    assert registry.scopes == ["repository:library/caddy:pull", "repository:library/postgres:pull"]
    assert all(accepted.startswith("application/vnd.oci.image.index.v1+json") for accepted in registry.accepted)
    assert all("application/vnd.docker.distribution.manifest.list.v2+json" in line for line in registry.accepted)


def test_a_second_run_says_that_nothing_has_changed(registry, compose):
    pin(registry, compose)
    before = compose.read_text()
    assert pin(registry, compose) == "All 2 images are pinned to what their registries have now.\n"
    assert compose.read_text() == before


def test_a_tag_that_has_moved_is_pinned_anew(registry, compose):
    pin(registry, compose)
    registry.digests["library/caddy:2.11-alpine"] = B
    out = pin(registry, compose)
    assert out.splitlines()[1].split() == ["docker-compose.yml", "caddy:2.11-alpine", A, B]
    assert f"image: caddy:2.11-alpine@{B} # why this one" in compose.read_text()


def test_check_fails_without_writing_and_passes_when_all_is_pinned(registry, compose):
    said = refused("images", "pin", "--check", "--mirror", registry.url, "--file", str(compose))
    assert said == "Not pinned to what the registries have now: 2 of 2 images."
    assert compose.read_text() == COMPOSE
    pin(registry, compose)
    assert pin(registry, compose, "--check").startswith("All 2 images")


def test_an_image_of_another_registry_is_asked_there(registry, tmp_path):
    host = registry.url.removeprefix("http://")
    file = tmp_path / "compose.yml"
    file.write_text(f"services:\n  a:\n    image: {host}/team/app:1.0\n")
    registry.digests["team/app:1.0"] = A
    command("images", "pin", "--file", str(file))
    assert file.read_text() == f"services:\n  a:\n    image: {host}/team/app:1.0@{A}\n"


def test_without_a_tag_it_is_latest(registry, tmp_path):
    file = tmp_path / "compose.yml"
    file.write_text("image: caddy\n")
    registry.digests["library/caddy:latest"] = A
    pin(registry, file)
    assert file.read_text() == f"image: caddy:latest@{A}\n"


def test_a_registry_that_names_no_digest_is_asked_for_the_manifest(registry, compose):
    registry.says_digest = False
    registry.is_open = True
    pin(registry, compose)
    assert f"caddy:2.11-alpine@sha256:{hashlib.sha256(MANIFEST).hexdigest()}" in compose.read_text()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"digests": {}}, "The registry has no caddy:2.11-alpine. Correct its name or tag. Nothing was changed."),
        ({"status": 503}, "The registry of caddy:2.11-alpine answered 503. Try again later. Nothing was changed."),
        ({"status": 403}, "wants credentials"),
        ({"digests": {"library/caddy:2.11-alpine": "sha256:nonsense # and more"}}, "gave no SHA-256 digest"),
    ],
)
def test_a_registry_that_does_not_answer_well_leaves_the_file_as_it_was(registry, compose, trouble, reason):
    for name, value in trouble.items():
        setattr(registry, name, value)
    assert reason in refused("images", "pin", "--mirror", registry.url, "--file", str(compose))
    assert compose.read_text() == COMPOSE


def test_a_registry_that_cannot_be_reached_is_one_line(registry, compose):
    said = refused("images", "pin", "--mirror", "http://127.0.0.1:9", "--file", str(compose))
    assert said.startswith("The registry of caddy:2.11-alpine cannot be reached: ")


def test_the_files_of_this_copy_are_still_valid_after_it(registry, tmp_path):
    names = ("docker-compose.yml", "docker-compose.gpu.yml", "Dockerfile")
    for name in names:
        shutil.copy(ROOT / name, tmp_path / name)
    before = yaml.safe_load((tmp_path / "docker-compose.yml").read_text())
    images = ["caddy:2.11-alpine", "postgres:17-alpine", "redis:7.4-alpine", "python:3.13-slim-bookworm"]
    registry.digests = {f"library/{image}": A for image in images} | {"vllm/vllm-openai:v0.11.0": B}
    options = [word for name in names for word in ("--file", str(tmp_path / name))]
    command("images", "pin", "--mirror", registry.url, *options)

    after = yaml.safe_load((tmp_path / "docker-compose.yml").read_text())
    for name, service in before["services"].items():
        image = service["image"]
        assert after["services"][name].pop("image") == (image if image == "openfang" else f"{image.split('@')[0]}@{A}")
        service.pop("image")
    assert after["services"] == before["services"]
    assert f"image: vllm/vllm-openai:v0.11.0@{B}\n" in (tmp_path / "docker-compose.gpu.yml").read_text()
    assert f"ARG BASE_IMAGE=python:3.13-slim-bookworm@{A}\n" in (tmp_path / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("reference", "registry_url", "repository"),
    [
        ("redis:7", "https://registry-1.docker.io", "library/redis"),
        ("docker.io/redis:7", "https://registry-1.docker.io", "library/redis"),
        ("vllm/vllm-openai:v1", "https://registry-1.docker.io", "vllm/vllm-openai"),
        ("ghcr.io/owner/app:1", "https://ghcr.io", "owner/app"),
        ("localhost:5000/app:1", "http://localhost:5000", "app"),
    ],
)
def test_where_an_image_is_asked_for(reference, registry_url, repository):
    image = Image.parse(reference)
    assert (image.registry, image.repository) == (registry_url, repository)
