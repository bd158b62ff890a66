"""The upstream as a process of its own, for benchmarks: one fixed answer, for ever.

python -m tests.upstream --port 0 --chunks 50 --delay-ms 0 --interval-ms 0
"""

import argparse
import signal

import uvloop

from tests.upstream.server import Upstream
from tests.upstream.steps import says


def main() -> None:
    options = _options()
    interval = None if options.one_write else options.interval_ms / 1000
    words = [f"word{number} " for number in range(options.chunks)]
    answer = says(words, interval=interval, delay=options.delay_ms / 1000)
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with Upstream(
        host=options.host, port=options.port, default=answer, remembers=False, loop_factory=uvloop.new_event_loop
    ) as upstream:
        print(f"listening on {upstream.base_url}", flush=True)
        signal.sigwait(signals)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.upstream", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--chunks", type=int, default=50, help="content chunks in every answer")
    parser.add_argument("--delay-ms", type=float, default=0, help="before the first byte")
    parser.add_argument("--interval-ms", type=float, default=0, help="between chunks")
    parser.add_argument("--one-write", action="store_true", help="send all chunks in one write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
