"""OPENFANG_ROOT_PATH: the whole server below a path, on a host that other services share."""

import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from agents.setup import ADMIN
from tests.live import Live
from tests.live.asking import TIMEOUT, ask, content_of
from tests.live.server import ROOT as CODE
from tests.openai_compat import raw
from tests.upstream import Upstream

ROOT = "/team/agents"
PASSWORD = "correct-horse-battery-staple"
HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(scope="module")
def deep_server(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    env = {"OPENFANG_ROOT_PATH": f"{ROOT}/", "OPENFANG_ADMIN_PASSWORD": PASSWORD}
    with Live(tmp_path_factory.mktemp("deep"), cast=session_upstream.base_url, env=env) as live:
        yield live


@pytest.fixture
def deep(deep_server: Live, upstream: Upstream) -> Live:
    return deep_server


@pytest.fixture
def browser(deep: Live) -> Iterator[httpx2.Client]:
    """A user who has logged in, by the pages' own links alone."""
    with httpx2.Client(timeout=TIMEOUT, verify=False, follow_redirects=True) as client:
        page = client.get(f"{deep.url}/")
        assert page.url.path == f"{ROOT}/admin/login/"
        token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[0]
        form = {"username": ADMIN, "password": PASSWORD, "csrfmiddlewaretoken": token, "next": f"{ROOT}/admin/"}
        page = client.post(page.url, data=form, headers={"referer": str(page.url)})
        assert (page.status_code, page.url.path) == (200, f"{ROOT}/admin/")
        yield client


def test_the_api_answers_below_it(deep: Live, upstream: Upstream):
    upstream.says("Hello")
    assert deep.url.endswith(ROOT)
    assert content_of(ask(deep)) == "Hello"
    with deep.client() as client:
        assert "openfang:coder" in [model.id for model in client.models.list()]
        assert client.models.retrieve("openfang:coder").id == "openfang:coder"
    assert raw.send(deep, "GET", f"{ROOT}/v1/openapi.json").json()["servers"] == [{"url": ROOT}]
    assert raw.send(deep, "GET", f"{ROOT}/v1/nothing").json()["error"]["code"] == "unknown_url"


def test_the_management_api_answers_below_it(deep: Live, browser: httpx2.Client):
    assert raw.send(deep, "GET", f"{ROOT}/api/agents").status == 401
    assert browser.get(f"{deep.url}/api/health").status_code == 200
    assert browser.get(f"{deep.url}/api/schema").json()["servers"] == [{"url": ROOT}]
    assert f'data-schema="{ROOT}/api/schema"' in browser.get(f"{deep.url}/api/docs").text
    assert browser.get(f"{deep.url}/api/models?page_size=1").json()["next"] == f"{ROOT}/api/models?page=2&page_size=1"


def test_pages_refer_to_what_is_below_it_and_their_files_are_there(deep: Live, browser: httpx2.Client):
    host = deep.url.removesuffix(ROOT)
    for path in ("/admin/", "/admin/agents/agent/", "/admin/agents/usagerecord/", "/api/docs"):
        page = browser.get(f"{deep.url}{path}")
        assert page.status_code == 200
        links = [link for link in re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text) if link != "/"]
        assert links
        assert [link for link in links if not link.startswith(f"{ROOT}/")] == []
        for file in {link for link in links if "/static/" in link}:
            assert browser.get(f"{host}{file}").status_code == 200, file


def test_an_agents_pages_show_the_address_below_it(deep: Live, browser: httpx2.Client):
    agents = browser.get(f"{deep.url}/api/agents").json()["data"]
    agent = next(agent for agent in agents if agent["name"] == "coder")
    for page in ("connect", "playground"):
        text = browser.get(f"{deep.url}/admin/agents/agent/{agent['id']}/{page}/").text
        assert f"{ROOT}/v1" in text
        assert not re.search(r"127\.0\.0\.1:\d+/v1", text)


def test_its_cookies_are_sent_to_nothing_else_on_the_host(deep: Live, browser: httpx2.Client):
    cookies = {cookie.name: cookie.path for cookie in browser.cookies.jar}
    assert cookies.keys() >= {"sessionid", "csrftoken"}
    assert set(cookies.values()) == {f"{ROOT}/"}


def test_live_pages_are_reached_below_it(deep: Live, browser: httpx2.Client):
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
    headers = {**HANDSHAKE, "origin": deep.url.removesuffix(ROOT), "cookie": cookies}
    below = raw.send(deep, "GET", f"{ROOT}/admin/live/requests/", headers={**headers, "sec-websocket-version": "99"})
    assert below.status == 400
    assert status_of_handshake(deep, f"{ROOT}/admin/live/requests/", headers) == 101
    assert status_of_handshake(deep, "/admin/live/requests/", headers) == 403


def status_of_handshake(live: Live, path: str, headers: dict[str, str]) -> int:
    address = urlsplit(live.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/v1/models", "/admin/", "/api/health", "/static/openfang/mark.svg", "/team"])
def test_nothing_but_probes_answers_outside(deep: Live, path: str):
    answer = raw.send(deep, "GET", path)
    assert (answer.status, answer.json()["error"]["code"]) == (404, "unknown_url")
    assert raw.send(deep, "GET", f"{ROOT}{ROOT}{path}").status == 404


def test_probes_answer_on_both_paths(deep: Live):
    for root in ("", ROOT):
        assert raw.send(deep, "GET", f"{root}/healthz").json() == {"status": "alive"}
        assert raw.send(deep, "GET", f"{root}/readyz").status == 200
        assert raw.send(deep, "GET", f"{root}/metrics").status == 200


def test_the_command_line_finds_the_server(deep: Live, upstream: Upstream):
    upstream.says("Hello")
    said = subprocess.run(
        [sys.executable, CODE / "manage.py", "chat", "coder", "--message", "Hi"],
        env=deep.env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (said.returncode, said.stdout) == (0, "Hello\n")


@pytest.mark.parametrize("name", ["Daphne-Root-Path", "daphne-root-path"])
@pytest.mark.parametrize("value", ["/x", "/\x80", "%2Fx"])
def test_a_client_says_nothing_about_the_path(live: Live, name: str, value: str):
    assert raw.send(live, "GET", "/x/admin/login/", headers={name: value}).status == 404
    assert raw.send(live, "GET", "/admin/login/", headers={name: value}).status == 200
    assert raw.send(live, "GET", "/x/v1/models", headers={name: value}).status == 404
    assert b'"/x' not in raw.send(live, "GET", "/admin/login/", headers={name: value}).body


@pytest.mark.parametrize("value", ["openfang", "/a b", "/a//b", "/../x", "/a?b", "https://host/x"])
def test_a_setting_that_is_no_path_stops_the_start(tmp_path: Path, live: Live, value: str):
    refusal = subprocess.run(
        [sys.executable, CODE / "manage.py", "start"],
        env={**live.env, "OPENFANG_DATA_DIR": str(tmp_path), "OPENFANG_ROOT_PATH": value},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert refusal.returncode != 0
    assert "is not a path such as /openfang." in refusal.stderr
