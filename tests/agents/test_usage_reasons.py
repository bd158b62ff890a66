"""Why a call failed is on its step: in our words, and in the provider's only where prompts are stored."""

import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from agents.models import Agent, StoredContent, UsageRecord, UsageStep
from agents.types import Message
from agents.usage.content import Conversation, store
from tests.agents.admin_cast import request, text
from tests.live import Live
from tests.live.asking import ask, request_id, row_of
from tests.upstream import Upstream, calls, error_frame, fails, junk, says
from tests.upstream.wire import error

PROMPT = "the-word-is-swordfish"
KEY = "sk-0123456789abcdefghijkl"
NOW = {"retry-after": "0"}
QUOTING = error(
    f"Messages were {PROMPT}, with the key {KEY}.", "invalid_request_error", "messages[0].content", "string_too_long"
)
NAMED = "invalid_request_error, parameter messages[0].content"


def asked(live: Live, model: str = "coder") -> list[dict[str, Any]]:
    """Ask with a prompt that nothing may repeat, and return the steps of the request."""
    answer = ask(live, model, messages=[{"role": "user", "content": PROMPT}])
    return live.steps(row_of(live, answer)["id"])


def told(steps: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(step[name] for name in names) for step in steps]


def test_a_refusal_is_kept_with_its_status_and_names_but_without_its_words(live: Live, upstream: Upstream) -> None:
    upstream.turns(fails(400, QUOTING))
    [step] = asked(live)
    assert step["error_text"] == f"The provider refused the request: HTTP 400, string_too_long, {NAMED}."
    assert (step["http_status"], step["attempt"], step["backoff_ms"]) == (400, 1, None)


def test_a_code_that_is_a_sentence_is_no_name(live: Live, upstream: Upstream) -> None:
    upstream.turns(fails(400, error("No.", PROMPT * 4, f"messages {PROMPT}", "too_long")))
    [step] = asked(live)
    assert step["error_text"] == "The provider refused the request: HTTP 400, too_long."


def test_attempts_are_numbered_and_have_their_status_and_back_off(live: Live, upstream: Upstream) -> None:
    upstream.turns(fails(503, QUOTING, headers=NOW), fails(429, QUOTING), says("Hello"))
    steps = asked(live)
    assert told(steps, "attempt", "http_status", "error_code") == [
        (1, 503, "provider_unavailable"),
        (2, 429, "provider_rate_limited"),
        (3, 200, ""),
    ]
    assert steps[0]["backoff_ms"] == 0
    assert steps[1]["backoff_ms"] > 0
    assert steps[2]["backoff_ms"] is None
    assert steps[0]["error_text"].startswith("The provider failed: HTTP 503, ")
    assert steps[1]["error_text"].startswith("The provider is limiting this server's requests: HTTP 429, ")
    assert steps[2]["error_text"] == ""


def test_the_attempts_go_on_with_a_fallback_model(live: Live, upstream: Upstream) -> None:
    upstream.turns(fails(401))
    upstream.model("second-model").says("Hello")
    steps = asked(live, "understudy")
    assert told(steps, "name", "attempt", "http_status", "backoff_ms") == [
        ("scripted-model", 1, 401, None),
        ("second-model", 2, 200, None),
    ]


def test_a_provider_that_cannot_be_reached_has_no_status(live: Live) -> None:
    steps = asked(live, "orphan")
    assert told(steps, "http_status", "attempt") == [(None, 1), (None, 2), (None, 3)]
    assert {step["error_text"] for step in steps} == {"Nowhere cannot be reached (ClientConnectorError)."}


def test_an_error_in_mid_answer_is_kept_without_its_words(live: Live, upstream: Upstream) -> None:
    upstream.turns(*(junk([error_frame(PROMPT)]) for _ in range(3)))
    steps = asked(live)
    assert [step["error_text"] for step in steps] == ["The provider failed: server_error."] * 3


@pytest.mark.parametrize(
    "answer",
    [
        fails(500, f"<html><title>Error</title>You sent {PROMPT}.</html>", headers=NOW),
        fails(500, {"detail": [{"loc": ["body", "messages"], "msg": f"{PROMPT} is not allowed"}]}, headers=NOW),
        fails(400, {"error": f"Cannot read {PROMPT}."}),
        fails(400, error(f"This model's maximum context length is 10 tokens; you sent {PROMPT}.")),
        fails(422, {"message": PROMPT, "code": 422}),
        junk([f"<html><body>You sent {PROMPT}.</body></html>".encode()]),
        junk([f'{{"error": {{"message": "You sent {PROMPT}.", "code": 500}}}}'.encode()]),
        junk([f'data: {{"detail": "You sent {PROMPT}."}}\n\n'.encode()]),
        junk([f'data: {{"choices": [{{"delta": {{}}, "error": "You sent {PROMPT}."}}]}}\n\n'.encode()]),
    ],
)
def test_in_whatever_shape_a_provider_quotes_the_prompt_it_is_not_kept(
    live: Live, upstream: Upstream, answer: Any
) -> None:
    upstream.turns(answer, answer, answer)
    steps = asked(live)
    upstream.reset()  # not every answer is asked for again
    assert steps[0]["error_code"] and steps[0]["error_text"]
    assert PROMPT not in str(steps)


def test_a_failed_tool_says_why_without_repeating_what_it_was_given(live: Live, upstream: Upstream) -> None:
    upstream.turns(calls("calculator", expression=PROMPT), calls("no_such_tool"), says("Sorry."))
    steps = [step for step in asked(live, "handy") if step["kind"] == "tool"]
    assert told(steps, "error_code", "error_text", "attempt") == [
        ("tool_failed", "The tool reported an error.", None),
        ("tool_failed", "The agent has no such tool.", None),
    ]


def test_nothing_of_it_repeats_the_prompt_in_the_database_or_the_log(live: Live, upstream: Upstream) -> None:
    upstream.turns(fails(400, QUOTING))
    [step] = asked(live)
    rows = [*live.rows("SELECT * FROM agents_usagestep"), *live.rows("SELECT * FROM agents_usagerecord")]
    assert PROMPT not in str(rows)
    assert PROMPT not in live.output and KEY not in live.output
    assert f" error=provider_refused reason={step['error_text']}" in live.output


def test_where_prompts_are_stored_the_words_are_too_without_secrets(tmp_path: Path, upstream: Upstream) -> None:
    upstream.turns(calls("calculator", expression=f"{PROMPT}("), fails(400, QUOTING))
    with Live(tmp_path, cast=upstream.base_url, env={"OPENFANG_STORE_CONTENT_DAYS": "7"}) as live:
        answer = ask(live, "handy", messages=[{"role": "user", "content": PROMPT}])
        row_of(live, answer)
        code = (
            "from agents.usage.content import conversation_of; import uuid; "
            f"print(conversation_of(uuid.UUID({request_id(answer)!r})).errors)"
        )
        errors = live.manage("shell", "--no-imports", "-c", code).stdout

        assert f"3: 'Scripted refused the request: Messages were {PROMPT}, with the key [redacted].'" in errors
        assert re.search(rf"2: .*{PROMPT}", errors)
        assert PROMPT not in str(live.rows("SELECT * FROM agents_usagestep"))
        assert PROMPT not in live.output


@pytest.mark.django_db
class TestThePage:
    @pytest.fixture(autouse=True)
    def storing(self, settings: Any) -> None:
        settings.OPENFANG_STORE_CONTENT_DAYS = 7

    @pytest.fixture
    def record(self) -> UsageRecord:
        record = request(Agent.objects.create(name="coder"), error_code="provider_rate_limited", status="failed")
        UsageStep.objects.filter(record=record).update(
            error_code="provider_rate_limited",
            error_text="The provider is limiting this server's requests: HTTP 429.",
            http_status=429,
            attempt=2,
            backoff_ms=1500,
        )
        store({record.pk: Conversation([Message("user", "Hi")], errors={0: f"You said {PROMPT}."})})
        return record

    def page(self, client: Client, record_id: UUID) -> str:
        return unescape(text(client.get(f"/admin/agents/usagerecord/{record_id}/change/")))

    def test_it_shows_why_a_step_failed_which_attempt_it_was_and_the_words(
        self, admin_client: Client, record: UsageRecord
    ) -> None:
        page = self.page(admin_client, record.pk)
        assert "The provider is limiting this server's requests: HTTP 429." in page
        assert "attempt 2 · HTTP 429 · asked again after 1.5" in page
        assert f"You said {PROMPT}." in page

    def test_the_words_are_for_those_who_may_read_prompts(self, client: Client, record: UsageRecord) -> None:
        viewer = User.objects.create_user("viewer", is_staff=True)
        viewer.user_permissions.set(Permission.objects.filter(codename="view_usagerecord"))
        client.force_login(viewer)
        page = self.page(client, record.pk)
        assert "The provider is limiting this server's requests: HTTP 429." in page
        assert PROMPT not in page

    def test_the_words_go_with_the_prompt_when_its_days_are_up(self, admin_client: Client, record: UsageRecord) -> None:
        StoredContent.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        page = self.page(admin_client, record.pk)
        assert "The provider is limiting this server's requests: HTTP 429." in page
        assert PROMPT not in page
