"""A server without the `mcp` package, which starts at once and misbehaves as told: `python plain.py [HABIT]`.

garbage    prints what is no protocol before everything it says
unlisted   answers `tools/list` with an error
many       has 200 tools, on pages of 50
deaf       answers nothing
script     answers with what a JSON file holds: `script FILE`, {"pages": [result or null for an error], "call": result}
old        also keeps silent on `server/discover`, which servers before 2026 do not know
"""

import json
import os
import sys
from pathlib import Path

HABIT = sys.argv[1] if len(sys.argv) > 1 else ""
SCRIPT = json.loads(Path(sys.argv[2]).read_text()) if HABIT == "script" else {}
UNKNOWN = {"code": -32601, "message": "Method not found"}


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request and HABIT != "deaf":
            answer(request)


def answer(request) -> None:
    method = request["method"]
    if method == "initialize":
        version = request["params"]["protocolVersion"]
        info = {"name": "plain", "version": "1"}
        say(request, result={"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info})
    elif method == "tools/list" and HABIT == "unlisted":
        say(request, error={"code": -32603, "message": "The list is lost."})
    elif method == "tools/list" and SCRIPT:
        said = SCRIPT["pages"][int((request.get("params") or {}).get("cursor") or "0")]
        say(
            request,
            **({"error": {"code": -32603, "message": "The page is lost."}} if said is None else {"result": said}),
        )
    elif method == "tools/call" and SCRIPT:
        say(request, result=SCRIPT["call"] or {"content": [{"type": "text", "text": json.dumps(request["params"])}]})
    elif method == "tools/list":
        say(request, result=page(int(request.get("params", {}).get("cursor", "0"))))
    elif method == "tools/call":
        call(request)
    elif method != "server/discover" or HABIT != "old":
        say(request, error=UNKNOWN)


def page(start: int):
    total = 200 if HABIT == "many" else 1
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
    tools = [{"name": f"tool.{n}", "inputSchema": schema} for n in range(start, min(start + 50, total))]
    return {"tools": tools, **({"nextCursor": str(start + 50)} if start + 50 < total else {})}


def call(request) -> None:
    arguments = request["params"].get("arguments") or {}
    if arguments.get("die"):
        os._exit(1)
    if here := arguments.get("wait"):
        open(here, "w").close()
        return
    if arguments.get("change"):
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}), flush=True)
    text = "x" * arguments["size"] if "size" in arguments else str(os.getpid())
    say(request, result={"content": [{"type": "text", "text": text}]})


def say(request, **message) -> None:
    if HABIT == "garbage":
        sys.stdout.buffer.write(b"Starting up... \xff\xfe\n{}\n[1]\n")
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **message}), flush=True)


if __name__ == "__main__":
    main()
