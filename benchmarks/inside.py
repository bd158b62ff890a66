"""This server with a window, through which is seen what nobody sees from outside: its event loop's tasks, its runs.

A run that is over and still in memory waits for the garbage collector, with all that it was asked and has answered.

python -m benchmarks.inside SOCKET start --port 0
"""

import asyncio
import gc
import socket
import sys
import threading

from openfang_site import cli


def tell(window: socket.socket) -> None:
    while True:
        visitor, _ = window.accept()
        with visitor:
            # The server has these by now.
            from agents.execution import Run  # noqa: PLC0415
            from openfang_site.server.reactor import reactor  # noqa: PLC0415

            tasks = asyncio.all_tasks(reactor._asyncioEventloop)
            runs = [thing for thing in gc.get_objects() if type(thing) is Run]
            visitor.sendall(f"{len(tasks)} {len(runs)}".encode())


if __name__ == "__main__":
    window = socket.socket(socket.AF_UNIX)
    window.bind(sys.argv.pop(1))
    window.listen()
    threading.Thread(target=tell, args=(window,), daemon=True).start()
    cli.main()
