"""Nasty header values never make the server fail."""

import pytest

from tests.live import Live
from tests.openai_compat import raw
from tests.upstream import Upstream, says

PATHS = ["/v1/models", "/v1/chat/completions", "/api/agents", "/admin/login/", "/static/openfang/mark.svg", "/metrics"]
HEADERS = [
    *("accept", "accept-encoding", "accept-language", "authorization", "content-encoding", "content-type", "cookie"),
    *("daphne-root-path", "expect", "forwarded", "host", "idempotency-key", "if-modified-since", "if-none-match"),
    *("origin", "range", "referer", "te", "traceparent", "tracestate", "user-agent", "via", "x-csrftoken"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-http-method-override", "x-real-ip"),
    *("x-request-id", "x-stainless-retry-count", "access-control-request-method", "access-control-request-headers"),
]
VALUES = [
    *(
        "",
        " ",
        "0",
        "-1",
        "99999999999999999999",
        "NaN",
        "null",
        "*",
        "*/*;q=x",
        ",,,",
        ";;;",
        "=",
        '"',
        "a=b; c",
        "%",
        "%zz",
    ),
    *(
        "\x80\xff",
        "é",
        "[",
        "[::1",
        "]",
        "http://[",
        "http://a]b",
        "http://a:99999",
        "::1",
        "a:b:c",
        "../../etc/passwd",
    ),
    *(
        "bytes=0-",
        "bytes=9-1",
        "bytes=-99999999999999999999",
        "Bearer",
        "Bearer [",
        "Basic !!!",
        "Bearer of_\x80",
        "Digest x",
    ),
    *(
        "gzip",
        "application/json; charset=nothing",
        "multipart/form-data",
        "multipart/form-data; boundary=\x80",
        "text/\x80",
    ),
    *(
        "sessionid=%; csrftoken=[",
        "00-zz-zz-zz",
        "Thu, 99 Foo 9999 99:99:99 GMT",
        "x" * 4000,
        "POST\tGET",
        "100-continue",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_value_of_a_header_is_a_fault_of_the_server(live: Live, upstream: Upstream, method: str, path: str) -> None:
    upstream.default = says("Hello")
    body = b'{"model": "coder", "messages": [{"role": "user", "content": "Hi"}]}' if method == "POST" else None
    failed = []
    for place, header in enumerate(HEADERS, start=PATHS.index(path)):
        for value in VALUES[place % 5 :: 5]:  # all on all paths take minutes
            answer = raw.send(live, method, path, body, headers={header: value})
            if answer.status >= 500:
                failed.append((header, value, answer.status))
    assert failed == []
