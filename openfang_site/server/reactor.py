"""The one event loop of a server process: uvloop, driven by Twisted, shared with asyncio.

It must be chosen before anything imports `daphne.server`, which otherwise makes a slower loop of its own.
"""

import sys
from typing import Any, cast

import uvloop
from twisted.internet import asyncioreactor

if "twisted.internet.reactor" not in sys.modules:
    asyncioreactor.install(uvloop.new_event_loop())  # type: ignore[no-untyped-call]
    # Daphne makes a loop even where one is chosen already; nothing would ever run or close it.
    import daphne.server

    daphne.server.twisted_loop.close()

from twisted.internet import reactor as installed

reactor = cast(Any, installed)
