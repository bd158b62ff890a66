"""The program between this process and a stdio MCP server: it ends the server, and whatever that started.

Run as a file, with the server's command as arguments, as the leader of a process group. It keeps the standard error
open, whose reader is the process that started it. When the server ends, or that reader does, even by SIGKILL, the whole
group is killed. (`uvx` and `npx` start the server proper as a child of theirs: a signal to the child of this process
alone would leave it running.)

What the server says passes through here line by line, because the library's reading takes a time that grows with the
square of a line: 0.2 s for 4 MB, 11 s for 30 MB, in which the process that started this would answer nobody.
"""

import os
import select
import signal
import sys
import threading

LONGEST_LINE = 4 * 1024 * 1024
LAST_WORDS_SECONDS = 0.5


def main() -> None:
    said, saying = os.pipe()
    try:
        server = os.posix_spawnp(
            sys.argv[1],
            sys.argv[1:],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, saying, 1)],
            setsigdef=[signal.SIGPIPE],  # Python ignores it, and what it starts would, too
        )
    except OSError as error:
        sys.exit(f"{sys.argv[1]} cannot be started: {error.strerror}")
    # The group is asked to end by SIGTERM: the server may take its time, and this program waits for it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.close(saying)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_end_with_reader, daemon=True).start()
    passing_on = threading.Thread(target=_pass_on, args=[said], daemon=True)
    passing_on.start()
    os.waitpid(server, 0)
    passing_on.join(LAST_WORDS_SECONDS)
    os.killpg(0, signal.SIGKILL)


def _end_with_reader() -> None:
    reader = select.poll()
    reader.register(sys.stderr, 0)  # POLLERR alone, which a pipe without a reader has
    reader.poll()
    os.killpg(0, signal.SIGKILL)


def _pass_on(said: int) -> None:
    with open(said, "rb") as lines, open(1, "wb") as out:
        while line := lines.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                refusal = _too_long(line)
                while line and not line.endswith(b"\n"):
                    line = lines.readline(LONGEST_LINE)
                line = refusal
            out.write(line)
            out.flush()


def _too_long(line: bytes) -> bytes:
    """Return an error in the place of an answer. Its id stands before the result, or the call waits in vain."""
    number = line[:100].partition(b'"id":')[2].partition(b",")[0].strip()
    error = b'{"code": -32603, "message": "The answer is longer than %d MB."}' % (LONGEST_LINE // 1024**2)
    return b'{"jsonrpc": "2.0", "id": %s, "error": %s}\n' % (number or b"null", error)


if __name__ == "__main__":
    main()
