"""A small MCP server on standard input and output, legacy only, that misbehaves where it is told to.

    upstream = lines.command("--ignore-eof")

Its tools: `echo`, `pid`, `hang`, `die`, `say` (any text, as a line of standard output or error), `later` (the same,
after its answer), `big`; `answer` (itself, in any text: `$ID` is the call's id), `ask` (the client, by a method),
`replies` (to its questions), `late` (answers the calls that hang), `close` (standard output).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness import Archon

# A program that ignores TERM.
STUBBORN = """import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while 1: time.sleep(9)"""


def command(*args: str) -> str:
    """The command line of this server."""
    return shlex.join([sys.executable, __file__, *args])


def children(gateway: Archon, upstream: str = "fixture") -> int:
    """How many processes a gateway runs for an upstream, as its /health says."""
    from wire import get_json  # Not when this file runs as the server.

    _, health = get_json(gateway.url.replace("/mcp", "/health"))
    return health["health"]["upstreams"][upstream]["children"]


def answer(id: Any, result: dict[str, Any] | None = None, error: dict[str, Any] | None = None):
    """Writes an answer."""
    body = {"error": error} if error else {"result": result or {}}
    write(json.dumps({"jsonrpc": "2.0", "id": id, **body}))


def write(line: str) -> None:
    """Writes a line of standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


hanging: list[Any] = []
replies: list[Any] = []


def call(id: Any, name: str, arguments: dict[str, Any]) -> None:
    """Runs a tool."""
    text = ""
    match name:
        case "answer":
            said = arguments["text"].replace("$ID", json.dumps(id)).encode()
            sys.stdout.buffer.write(said.replace(b"$BYTE", b"\xff"))
            sys.stdout.buffer.flush()
            return
        case "ask":
            write(json.dumps({"jsonrpc": "2.0", "id": arguments["id"], "method": arguments["method"]}))
        case "replies":
            text = json.dumps(replies)
        case "late":
            for late in hanging:
                answer(late, {"content": [{"type": "text", "text": "late"}]})
            hanging.clear()
        case "close":
            os.close(1)
            while True:
                time.sleep(9)
        case "echo":
            text = arguments["text"]
        case "pid":
            text = str(os.getpid())
        case "hang":
            hanging.append(id)
            sys.stderr.write("a call hangs\n")
            sys.stderr.flush()
            return
        case "die":
            sys.stderr.write("these are my last words\n")
            os._exit(3)
        case "say":
            stream = sys.stderr if arguments.get("on") == "stderr" else sys.stdout
            for _ in range(arguments.get("times", 1)):
                stream.write(arguments["text"] + "\n")
            stream.flush()
        case "later":
            answer(id, {"content": []})
            return write(arguments["text"])
        case "big":
            text = "x" * arguments["bytes"]
        case _:
            return answer(id, error={"code": -32602, "message": "no such tool"})
    answer(id, {"content": [{"type": "text", "text": text}]})


def serve() -> None:
    """Answers until there is nothing more to read."""
    for line in sys.stdin:
        message = json.loads(line)
        method, id, params = message.get("method"), message.get("id"), message.get("params") or {}
        if id is not None and method is None:
            replies.append(message)
        if method == "notifications/initialized" and options.ask:
            write(json.dumps({"jsonrpc": "2.0", "id": "at-start", "method": "roots/list"}))
        if method == "notifications/cancelled":
            replies.append(message)
        if id is None or method is None:
            continue
        if method != "initialize" and options.read_nothing:
            time.sleep(3600)
        if method == "initialize":
            info = {"name": "lines", "version": "1"}
            if options.icon_bytes:
                info["icons"] = [{"src": "data:image/png;base64," + "A" * options.icon_bytes}]
            version = params["protocolVersion"]
            capabilities = {"tools": {}}
            result = {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}
            if options.icon_bytes:
                result["instructions"] = "i" * options.icon_bytes
            answer(id, result)
        elif method == "tools/list":
            answer(id, {"tools": []})
        elif method == "tools/call":
            call(id, params["name"], params.get("arguments") or {})
        else:
            answer(id, error={"code": -32601, "message": "unknown method"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ignore-eof", action="store_true", help="and TERM")
    parser.add_argument("--grandchild", action="store_true", help="start a stubborn one")
    parser.add_argument("--never-start", action="store_true", help="answer nothing")
    parser.add_argument("--die-at-start", action="store_true")
    parser.add_argument("--exit-at-start", action="store_true", help="as if all was well")
    parser.add_argument("--start-after", metavar="FILE", help="wait for this file first")
    parser.add_argument("--read-nothing", action="store_true", help="after the handshake")
    parser.add_argument("--icon-bytes", type=int, default=0, help="of an icon, and of instructions")
    parser.add_argument("--ask", action="store_true", help="for roots, once initialized")
    options = parser.parse_args()
    if options.die_at_start:
        sys.exit("cannot find my configuration")
    if options.exit_at_start:
        sys.exit(0)
    while options.start_after and not os.path.exists(options.start_after):
        time.sleep(0.05)
    if options.grandchild:
        subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True)
    if options.ignore_eof:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while options.never_start:
        time.sleep(9)
    serve()
    while options.ignore_eof:
        time.sleep(9)
