"""The program between this process and a stdio MCP server: it ends the server, and whatever that started.

Run as a file, with the server's command as arguments, as the leader of a process group. The server has its standard
streams; this program only keeps the standard error open, whose reader is the process that started it. When the server
ends, or that reader does, even by SIGKILL, the whole group is killed. (`uvx` and `npx` start the server proper as a
child of theirs: a signal to the child of this process alone would leave it running.)
"""

import os
import select
import signal
import sys
import threading


def main() -> None:
    try:
        # Python ignores SIGPIPE, and a program started by it would, too.
        server = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, setsigdef=[signal.SIGPIPE])
    except OSError as error:
        sys.exit(f"{sys.argv[1]} cannot be started: {error.strerror}")
    # The group is asked to end by SIGTERM: the server may take its time, and this program waits for it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)  # the ends of these pipes are the server's alone: their closing must be seen
    os.dup2(nowhere, 1)
    threading.Thread(target=_end_with_reader, daemon=True).start()
    os.waitpid(server, 0)
    os.killpg(0, signal.SIGKILL)


def _end_with_reader() -> None:
    reader = select.poll()
    reader.register(sys.stderr, 0)  # POLLERR alone, which a pipe without a reader has
    reader.poll()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
