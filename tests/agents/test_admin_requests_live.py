"""The list of requests is told, over a WebSocket, which of them have begun or ended."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client

from agents.live.publisher import INTERVAL, publisher
from agents.models import Agent, Status, UsageRecord, UsageStep
from agents.usage.confirming import requests_changed
from agents.usage.ledger import Ledger
from openfang_site.asgi import application
from tests.agents.admin_cast import key, request, text

LIST = "/admin/agents/usagerecord/"
SOCKET = "/admin/live/requests/"


def person(name: str, *permissions: str, **fields: Any) -> User:
    user = User.objects.create_user(name, **{"is_staff": True, **fields})
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def cookie(user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


@asynccontextmanager
async def watching(
    cookies: str = "", origin: str = "http://localhost:4200", path: str = SOCKET
) -> AsyncIterator[WebsocketCommunicator | None]:
    """A page that watches, or None if the server does not want it."""
    headers = [(b"origin", origin.encode()), (b"host", b"localhost:4200"), (b"cookie", cookies.encode())]
    page = WebsocketCommunicator(application, path, headers=headers)
    connected, _ = await page.connect(timeout=60)
    try:
        yield page if connected else None
    finally:
        if connected:
            await page.disconnect(timeout=60)


def changed(ids: Iterable[uuid.UUID]) -> None:
    """What the ledger sends after a commit."""
    requests_changed.send(Ledger, ids=list(ids), closed=[], loop=asyncio.get_running_loop())


@pytest.mark.django_db(transaction=True)
class TestSocket:
    async def test_a_page_is_told_the_ids_of_what_has_changed(self) -> None:
        viewer = await sync_to_async(person)("viewer", "view_usagerecord")
        request_id = uuid.uuid4()
        async with watching(await sync_to_async(cookie)(viewer)) as page:
            assert page is not None
            changed([request_id])
            assert await page.receive_json_from(timeout=60) == {"ids": [str(request_id)]}

    async def test_the_key_of_a_session_as_the_database_has_it_watches_nothing(self) -> None:
        await sync_to_async(cookie)(await sync_to_async(person)("viewer", "view_usagerecord"))
        stored = await Session.objects.aget()
        async with watching(f"{settings.SESSION_COOKIE_NAME}={stored.session_key}") as page:
            assert page is None

    async def test_many_changes_at_once_are_told_together(self) -> None:
        viewer = await sync_to_async(person)("viewer", "view_usagerecord")
        ids = [uuid.UUID(int=number) for number in range(300)]
        async with watching(await sync_to_async(cookie)(viewer)) as page:
            assert page is not None
            changed(ids[:1])
            await page.receive_json_from(timeout=60)
            for number in range(1, 300):
                changed(ids[number : number + 1])
            told = await page.receive_json_from(timeout=60)
            assert told == {"ids": [str(changed_id) for changed_id in reversed(ids[200:])]}
            assert await page.receive_nothing(timeout=2 * INTERVAL)

    async def test_nothing_is_kept_or_sent_while_nobody_watches(self) -> None:
        assert publisher.watchers == 0
        changed([uuid.uuid4()])
        assert not publisher._ids
        assert not publisher._due

    async def test_watchers_are_counted_in_and_out(self) -> None:
        cookies = await sync_to_async(cookie)(await sync_to_async(person)("viewer", "view_usagerecord"))
        async with watching(cookies), watching(cookies):
            assert publisher.watchers == 2
        assert publisher.watchers == 0

    @pytest.mark.parametrize(
        ("permissions", "fields"),
        [
            ([], {}),
            (["view_agent"], {}),
            (["view_usagerecord"], {"is_staff": False}),
        ],
    )
    async def test_only_staff_with_permission_may_watch(self, permissions: list[str], fields: dict[str, Any]) -> None:
        user = await sync_to_async(person)("somebody", *permissions, **fields)
        async with watching(await sync_to_async(cookie)(user)) as page:
            assert page is None
        assert publisher.watchers == 0

    async def test_nobody_may_watch_without_a_session(self) -> None:
        async with watching() as page:
            assert page is None

    async def test_pages_of_other_sites_may_not_watch(self) -> None:
        cookies = await sync_to_async(cookie)(await sync_to_async(person)("viewer", "view_usagerecord"))
        async with watching(cookies, origin="https://evil.example") as page:
            assert page is None

    async def test_other_paths_are_refused(self) -> None:
        async with watching(path="/admin/live/secrets/") as page:
            assert page is None

    async def test_what_a_page_sends_is_ignored(self) -> None:
        cookies = await sync_to_async(cookie)(await sync_to_async(person)("viewer", "view_usagerecord"))
        async with watching(cookies) as page:
            assert page is not None
            await page.send_to(text_data="not JSON")
            changed([uuid.UUID(int=1)])
            assert await page.receive_json_from(timeout=60) == {"ids": [str(uuid.UUID(int=1))]}


@pytest.mark.django_db
class TestRows:
    """What the page fetches when it has been told."""

    @pytest.fixture
    def agent(self) -> Agent:
        return Agent.objects.create(name="coder")

    def rows(self, client: Client, *records: UsageRecord, **query: str) -> list[UsageRecord]:
        response = client.get(f"{LIST}rows/", {"ids": ",".join(str(record.pk) for record in records), **query})
        assert response.status_code == 200
        return list(response.context["cl"].result_list)

    def test_the_rows_asked_for_are_those_of_the_list(self, admin_client: Client, agent: Agent) -> None:
        first, second, _ = request(agent), request(agent, 1), request(agent, 2)

        assert self.rows(admin_client, first, second) == [second, first]
        page = admin_client.get(f"{LIST}rows/", {"ids": str(first.pk)}).content.decode()
        assert f"{LIST}{first.pk}/change/" in page
        assert "result_list" in page

    def test_the_filters_of_the_list_hold(self, admin_client: Client, agent: Agent) -> None:
        alice = key()
        failed = request(agent, status=Status.FAILED)
        hers = request(agent, 1, api_key=alice, api_key_name="alice")

        assert self.rows(admin_client, failed, hers, status__exact="failed") == [failed]
        assert self.rows(admin_client, failed, hers, api_key__id__exact=str(alice.pk)) == [hers]
        assert self.rows(admin_client, failed, hers, q=str(hers.pk)) == [hers]

    @pytest.mark.parametrize("ids", ["", "nonsense", "1,2,3", ","])
    def test_nonsense_gets_no_rows(self, admin_client: Client, agent: Agent, ids: str) -> None:
        request(agent)
        response = admin_client.get(f"{LIST}rows/", {"ids": ids})
        assert response.status_code == 200
        assert list(response.context["cl"].result_list) == []

    def test_they_are_for_those_who_may_see_requests(self, client: Client, agent: Agent) -> None:
        record = request(agent)
        client.force_login(person("clerk", "view_agent"))
        assert client.get(f"{LIST}rows/", {"ids": str(record.pk)}).status_code == 403

    def test_the_list_works_without_its_script(self, admin_client: Client, agent: Agent) -> None:
        record = request(agent)
        page = admin_client.get(LIST)
        assert list(page.context["cl"].result_list) == [record]
        assert 'type="module" src="/static/openfang/requests.js"' in page.content.decode()


@pytest.mark.django_db
class TestTimeline:
    @pytest.fixture
    def agent(self) -> Agent:
        return Agent.objects.create(name="coder")

    def page(self, client: Client, record: UsageRecord) -> Any:
        return client.get(f"{LIST}{record.pk}/change/")

    def test_each_call_has_a_bar_where_and_as_long_as_it_was(self, admin_client: Client, agent: Agent) -> None:
        record = request(agent, duration_ms=2000)
        UsageStep.objects.all().delete()
        self.step(record, "llm", "alpha", 0, 500, prompt_tokens=10, completion_tokens=5, first_token_ms=250)
        self.step(record, "tool", "web_search", 500, 1000, error_code="tool_failed", result_bytes=2345)

        page = self.page(admin_client, record)

        llm, tool = page.context["timeline"]["rows"]
        assert (llm["left"], llm["width"], llm["waited"]) == ("0.00", "25.00", "50.00")
        assert (tool["left"], tool["width"], tool["error"]) == ("25.00", "50.00", "tool_failed")
        words = text(page)
        assert "LLM call: acme/alpha 500 ms 10 in, 5 out · first token after 250 ms · unknown" in words
        assert "tool call: web_search tool_failed 1.0 s 2.35k bytes returned" in words

    def step(self, record: UsageRecord, kind: str, name: str, at: int, took: int, **more: Any) -> None:
        position, provider = record.steps.count() + 1, "acme" if kind == "llm" else ""
        fields = {"provider": provider, "started_ms": at, "duration_ms": took, **more}
        UsageStep.objects.create(record=record, position=position, kind=kind, name=name, **fields)

    def test_requests_that_other_agents_answered_are_in_it_and_link_back(
        self, admin_client: Client, agent: Agent
    ) -> None:
        parent = request(agent, duration_ms=60_000)
        expert = Agent.objects.create(name="expert")
        child = request(
            expert, parent_id=parent.pk, started_at=parent.started_at + timedelta(seconds=30), duration_ms=6000
        )

        row = self.page(admin_client, parent).context["timeline"]["rows"][-1]
        assert (row["name"], row["left"], row["width"]) == ("expert", "50.00", "10.00")
        assert row["url"] == f"{LIST}{child.pk}/change/"
        back = self.page(admin_client, child)
        assert f'href="{LIST}{parent.pk}/change/" class="of-link">asked by coder' in back.content.decode()

    def test_a_request_that_runs_or_called_nothing_says_so(self, admin_client: Client, agent: Agent) -> None:
        running, refused = request(agent, status=Status.RUNNING), request(agent, status=Status.FAILED)
        UsageStep.objects.all().delete()

        assert "It is running: its calls are listed when it has ended." in text(self.page(admin_client, running))
        assert "It ended before any model or tool was called." in text(self.page(admin_client, refused))

    def test_a_page_asks_the_same_number_of_questions_however_many_calls_there_were(
        self, admin_client: Client, agent: Agent, django_assert_max_num_queries: Any
    ) -> None:
        record = request(agent)
        self.page(admin_client, record)
        with django_assert_max_num_queries(20) as few:
            self.page(admin_client, record)
        for number in range(1, 30):
            self.step(record, "tool", "calculator", number, 1)
        with django_assert_max_num_queries(len(few)):
            assert len(self.page(admin_client, record).context["timeline"]["rows"]) == 30
