"""What a user would pick instead: LiteLLM's proxy and Portkey's gateway, installed into folders of their own."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks.loads import MODELS
from benchmarks.processes import Process, running

KEY = "sk-" + "0123456789abcdef" * 4  # LiteLLM starts with no shorter one


class Peer(Struct, frozen=True):
    """A program that passes requests on; `folder` is where it is, or would be, installed."""

    name: str
    folder: Path
    install: tuple[tuple[str, ...], ...]
    installed: Callable[[Path], bool]
    version: Callable[[Path], str]
    command: Callable[[Path, int, str], list[str]]
    headers: Callable[[str], tuple[str, ...]]

    @property
    def there(self) -> bool:
        return self.installed(self.folder)

    def fetch(self) -> None:
        """Install it. Raises CalledProcessError or FileNotFoundError if its installer fails or is not there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for command in self.install:
            subprocess.run(command, cwd=self.folder, check=True)

    @contextmanager
    def run(self, upstream: str) -> Iterator[tuple[Process, str]]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}/v1"

        def ready(_said: str) -> str | None:
            return url if _answers(port) else None

        with running(self.command(self.folder, port, upstream), ready, cwd=self.folder) as started:
            yield started


def known_peers(data_dir: Path) -> list[Peer]:
    """Return the peers there are; those that are not installed are not `there`."""
    folder = data_dir / "bench"
    litellm = Peer(
        name="LiteLLM",
        folder=folder / "litellm",
        install=(
            (sys.executable, "-m", "venv", "venv"),
            ("venv/bin/pip", "install", "--quiet", "litellm[proxy]"),
        ),
        installed=lambda folder: (folder / "venv/bin/litellm").exists(),
        version=lambda folder: next(
            (path.name.split("-")[1] for path in folder.glob("venv/lib/*/site-packages/litellm-*.dist-info")), ""
        ).removesuffix(".dist"),
        command=_litellm,
        headers=lambda _: (f"Authorization: Bearer {KEY}",),
    )
    portkey = Peer(
        name="Portkey",
        folder=folder / "portkey",
        install=(("npm", "install", "--silent", "--prefix", ".", "@portkey-ai/gateway"),),
        installed=lambda folder: (folder / GATEWAY / "package.json").exists(),
        version=lambda folder: str(json.loads((folder / GATEWAY / "package.json").read_text())["version"]),
        command=lambda folder, port, _: [
            "node",
            str(folder / GATEWAY / "build/start-server.js"),
            f"--port={port}",
            "--headless",
        ],
        headers=lambda upstream: (
            f"Authorization: Bearer {KEY}",
            "x-portkey-provider: openai",
            f"x-portkey-custom-host: {upstream}",
        ),
    )
    return [litellm, portkey]


GATEWAY = "node_modules/@portkey-ai/gateway"


def _litellm(folder: Path, port: int, upstream: str) -> list[str]:
    models = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": upstream, "api_key": KEY}}
        for name in MODELS
    ]
    config = folder / "config.yaml"  # JSON is YAML
    settings = {"general_settings": {"master_key": KEY}, "litellm_settings": {"telemetry": False}}
    config.write_text(json.dumps({"model_list": models, **settings}))
    return [
        *(str(folder / "venv/bin/litellm"), "--config", str(config)),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
