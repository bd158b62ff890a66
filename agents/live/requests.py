from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from agents.live.publisher import GROUP, publisher
from agents.usage.confirming import requests_changed

requests_changed.connect(publisher.changed)


class RequestsConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Tells the list of requests which rows to fetch: ids only, so that what may be seen is decided where rows are."""

    watching = False

    async def connect(self) -> None:
        if not await database_sync_to_async(_may_watch)(self.scope["user"]):
            await self.close()
            return
        await self.channel_layer.group_add(GROUP, self.channel_name)
        self.watching = True
        publisher.watchers += 1
        await self.accept()

    async def disconnect(self, code: int) -> None:
        if self.watching:
            self.watching = False
            publisher.watchers -= 1
            await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def receive(self, **_: Any) -> None:
        """Ignore what is sent: a page has nothing to say."""

    async def requests_changed(self, event: dict[str, Any]) -> None:
        await self.send_json({"ids": event["ids"]})


def _may_watch(user: Any) -> bool:
    return bool(user.is_active and user.is_staff and user.has_perm("agents.view_usagerecord"))
