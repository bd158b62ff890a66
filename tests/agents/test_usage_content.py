"""Prompts and answers: stored only if that is turned on, encrypted, for so many days."""

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents.models import StoredContent
from agents.types import ImagePart, ImageURL, Message, TextPart
from agents.usage import content, retention
from agents.usage.content import Conversation, conversation_of, store
from tests.live import Live
from tests.live.asking import ask, row_of
from tests.upstream import Upstream, calls, says

SECRET = "the-word-is-swordfish"


def stored(live: Live) -> list[dict[str, Any]]:
    return live.rows("SELECT id, content, expires_at FROM agents_storedcontent")


def test_nothing_is_stored_unless_it_is_turned_on(live: Live, upstream: Upstream) -> None:
    upstream.turns(says(SECRET))
    row_of(live, ask(live))
    assert stored(live) == []


def test_what_was_said_is_stored_with_the_closing_row_and_not_in_the_clear(tmp_path: Path, upstream: Upstream) -> None:
    with Live(tmp_path, cast=upstream.base_url, env={"OPENFANG_STORE_CONTENT_DAYS": "7"}) as live:
        upstream.turns(calls("calculator", expression="6*7"), says(f"42, and {SECRET}"))
        asked = ask(live, "handy", messages=[{"role": "user", "content": f"Hi, {SECRET}"}])
        row = row_of(live, asked)

        [kept] = stored(live)
        assert kept["id"] == row["id"]
        assert SECRET.encode() not in bytes(kept["content"])
        code = (
            "from agents.usage.content import conversation_of; import uuid; "
            f"said = conversation_of(uuid.UUID({row['id']!r})); "
            "print([m.role for m in said.messages], said.messages[-1].content, said.answer)"
        )
        said = live.manage("shell", "--no-imports", "-c", code).stdout
    assert "['user', 'assistant', 'tool'] 42" in said
    assert f"42, and {SECRET}" in said


@pytest.mark.django_db
class TestStore:
    @pytest.fixture(autouse=True)
    def turned_on(self, settings: Any) -> None:
        settings.OPENFANG_STORE_CONTENT_DAYS = 7

    def test_it_is_read_back_as_it_was(self) -> None:
        request_id = uuid.uuid4()
        said = Conversation([Message("system", "Be kind."), Message("user", "Hi")], "Hello", "They greet me.")
        store({request_id: said})
        assert conversation_of(request_id) == said
        assert conversation_of(uuid.uuid4()) is None

    def test_images_and_very_long_texts_are_not_stored_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(content, "LONGEST_TEXT", 10)
        request_id = uuid.uuid4()
        image = ImagePart(ImageURL("data:image/png;base64," + "A" * 4000))
        store({request_id: Conversation([Message("user", [TextPart("Look"), image])], "0123456789abc")})
        said = conversation_of(request_id)
        assert said is not None
        assert said.answer == "0123456789\n[3 more characters were not stored]"
        assert said.messages[0].content == [TextPart("Look"), TextPart("[an image, 3,016 bytes]")]

    def test_after_its_days_it_is_not_shown_and_soon_deleted_in_bounded_steps(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "AT_ONCE", 2)
        ids = [uuid.uuid4() for _ in range(4)]
        store({request_id: Conversation([], "old") for request_id in ids})
        assert {row.expires_at - timezone.now() > timedelta(days=6.9) for row in StoredContent.objects.all()} == {True}
        StoredContent.objects.filter(pk__in=ids[:3]).update(expires_at=timezone.now())

        assert [conversation_of(request_id) is None for request_id in ids] == [True, True, True, False]
        retention.delete_some()
        assert StoredContent.objects.count() == 2
        retention.delete_some()
        assert StoredContent.objects.get().pk == ids[3]

    def test_under_another_secret_key_it_is_unreadable_and_no_fault(self, settings: Any) -> None:
        request_id = uuid.uuid4()
        store({request_id: Conversation([], "Hello")})
        settings.SECRET_KEY = "another"
        assert conversation_of(request_id) is None
