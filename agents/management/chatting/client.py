import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote

from agents.urls import split_http_url

# The server fills every silence of 15 s.
SILENCE_SECONDS = 120


class Refused(Exception):
    """The server did not do what it was asked; `str(error)` says why."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Answering:
    """An answer under way: its chunks, and the id under which the server records it."""

    def __init__(self, response: HTTPResponse, url: str) -> None:
        self._response = response
        self._url = url
        self.request_id = (response.headers["x-request-id"] or "").removeprefix("req_")

    def chunks(self) -> Iterator[dict[str, Any]]:
        while line := self._line():
            data = line.strip().removeprefix(b"data: ")
            if data == b"[DONE]":
                return
            if data:
                chunk = json.loads(data)
                if "error" in chunk:
                    raise Refused(chunk["error"]["message"])
                yield chunk
        raise Refused("The server has cut the answer off.")

    def _line(self) -> bytes:
        with _explained(self._url):
            return self._response.readline()


class ChatClient:
    """A client of the API; blocking, so that Ctrl-C ends whatever it waits for."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.strip().rstrip("/").removesuffix("/v1")
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}

    def agent(self, name: str) -> dict[str, Any]:
        """Return what the API tells of an agent. Raises Refused."""
        with self._asked("GET", f"/v1/models/{quote(name, safe='')}") as response:
            agent: dict[str, Any] = json.load(response)
            return agent

    @contextmanager
    def answering(self, agent: str, messages: list[dict[str, str]]) -> Iterator[Answering]:
        """Ask an agent; to leave early is to stop its answer. Raises Refused."""
        body = {"model": agent, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
        with self._asked("POST", "/v1/chat/completions", body) as response:
            yield Answering(response, self._url)

    @contextmanager
    def _asked(self, method: str, path: str, body: dict[str, Any] | None = None) -> Iterator[HTTPResponse]:
        parts = split_http_url(self._url)
        if parts is None:
            raise Refused(f"{self._url!r} is not the URL of a server, such as http://127.0.0.1:4200.")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        with closing(kind(parts.netloc, timeout=SILENCE_SECONDS)) as connection:
            with _explained(self._url):
                encoded = json.dumps(body) if body is not None else None
                connection.request(method, parts.path + path, body=encoded, headers=self._headers)
                response = connection.getresponse()
            if response.status != 200:
                raise Refused(_message(response), response.status)
            yield response


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Tell what is wrong with a server that cannot be talked to."""
    try:
        yield
    except TimeoutError:
        raise Refused(f"The server at {url} has been silent for {SILENCE_SECONDS} s.") from None
    except (OSError, HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise Refused(f"No OpenFang server answers at {url} ({why}).") from None


def _message(response: HTTPResponse) -> str:
    try:
        return str(json.load(response)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {response.status}."
