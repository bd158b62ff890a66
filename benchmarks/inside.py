"""This server with a window, through which is seen what nobody sees from outside: how many tasks its event loop has.

python -m benchmarks.inside SOCKET start --port 0
"""

import asyncio
import socket
import sys
import threading

from openfang_site import cli


def tell(window: socket.socket) -> None:
    while True:
        visitor, _ = window.accept()
        with visitor:
            from openfang_site.server.reactor import reactor  # noqa: PLC0415 -- the server has it by now

            visitor.sendall(str(len(asyncio.all_tasks(reactor._asyncioEventloop))).encode())


if __name__ == "__main__":
    window = socket.socket(socket.AF_UNIX)
    window.bind(sys.argv.pop(1))
    window.listen()
    threading.Thread(target=tell, args=(window,), daemon=True).start()
    cli.main()
