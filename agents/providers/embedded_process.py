"""The process that holds the embedded language model: llama.cpp's own HTTP server.

Run as a file, not as a module of `agents`: so it imports nothing but llama.cpp, and starts sooner and smaller.
It reads one line of JSON, {"weights", "host", "port", "api_key"}, from stdin (a secret in the arguments would show in
`ps`), answers with one on stdout, {"base_url"} or {"error"}, once it listens or cannot, and lives until SIGTERM or the
end of stdin.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from typing import Any, TextIO

import xllamacpp

MODEL_NAME = "smollm2-135m-instruct"
SLOTS = 2
CONTEXT_TOKENS = 8192  # what SmolLM2 was trained for; each slot's key-value cache takes 190 MB
PROMPT_CACHE_MIB = 256  # 11,000 tokens of prompts that lost their slot: an agent's prompt is not read anew each time
# The tokens evaluated in one go, while the other answer waits: 2 s, and not the 14 s of llama.cpp's 2048. Reading
# prompts is no slower with it.
BATCH_TOKENS = 256
# The longest answer of an agent that sets no limit: so small a model goes round in circles when it says more than this.
ANSWER_TOKENS = 1024


def main() -> None:
    _die_with_parent()
    _make_private()
    settings = json.loads(sys.stdin.readline())
    report = _claim_stdout()
    stdin_watch = threading.Thread(target=_exit_at_end_of_stdin, daemon=True)
    stdin_watch.start()
    try:
        server = xllamacpp.Server(_parameters(settings))
    except RuntimeError as error:
        print(json.dumps({"error": str(error)}), file=report, flush=True)
        sys.exit(1)
    print(json.dumps({"base_url": f"{server.listening_address}/v1"}), file=report, flush=True)
    stdin_watch.join()


def _parameters(settings: dict[str, Any]) -> xllamacpp.CommonParams:
    p = xllamacpp.CommonParams()
    p.model.path = settings["weights"]
    p.model_alias = {MODEL_NAME}
    p.hostnames, p.port = [settings["host"]], settings["port"]
    p.api_keys = [settings["api_key"]]
    p.n_parallel, p.n_ctx = SLOTS, SLOTS * CONTEXT_TOKENS
    p.n_batch = p.n_ubatch = BATCH_TOKENS
    p.n_predict = ANSWER_TOKENS
    p.cache_ram_mib = PROMPT_CACHE_MIB
    p.fit_params = False  # fitting the model to the memory doubles the start, and this one fits
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    # One core stays free: as soon as another process wants a core that a thread waits on, tokens take 10 times as long.
    p.cpuparams.n_threads = max(1, min(cores - 1, 4))
    p.cpuparams_batch.n_threads = min(cores, 4)
    p.n_threads_http = SLOTS + 2  # llama.cpp adds more while more requests wait
    p.sse_ping_interval = -1
    p.ui = p.endpoint_slots = False
    p.verbosity = 1  # errors
    # What an agent without settings of its own gets: its makers' advice, and some help against going round in circles.
    p.sampling.temp, p.sampling.top_p, p.sampling.penalty_repeat = 0.2, 0.9, 1.1
    return p


def _claim_stdout() -> TextIO:
    """Keep stdout for the report, and send what llama.cpp prints there to stderr."""
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return report


def _die_with_parent() -> None:
    """Ask Linux for the parent's death as SIGKILL, which holds even while llama.cpp lets no Python run."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _make_private() -> None:
    """Close the memory, which holds what people say, to other programs of this user (see agents/private_process.py)."""
    if sys.platform == "linux":
        pr_set_dumpable = 4
        ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)


def _exit_at_end_of_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
