"""Fakes of the APIs that agents ask their models by: one plays a script of tool calls, whatever it is told.

    with Anthropic([Call("browser_navigate", {"url": url}), Call("browser_snapshot")]) as model:
        ... start the agent on model.url ...
    assert "Hello" in model.results[1]  # what the second call gave, as the model was shown it
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import LoopbackServer

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A tool that the model asks for, and what happens just before it does."""

    tool: str
    arguments: Json = field(default_factory=dict)
    before: Callable[[], None] = lambda: None


class Model(LoopbackServer):
    """A model on a free port of loopback. Its subclasses speak the API of one vendor each."""

    def __init__(self, script: Iterable[Call]):
        super().__init__(Handler)
        self.script = list(script)
        self.results: list[str] = []
        self.failed: list[str] = []
        self._lock = threading.Lock()

    def next(self, results: list[str]) -> tuple[int, Call | None]:
        """The step that follows these results, with its number; none is the end."""
        with self._lock:
            self.results = max(self.results, results, key=len)
        step = len(results)
        if step >= len(self.script):
            return step, None
        self.script[step].before()
        return step, self.script[step]

    def answer(self, path: str, request: Json) -> list[Json] | None:
        """The events that answer a request; none where there is no such path."""
        raise NotImplementedError


class Anthropic(Model):
    """The Messages API, as Claude Code uses it."""

    def answer(self, path: str, request: Json) -> list[Json] | None:
        if not path.startswith("/v1/messages?") and path != "/v1/messages":
            return None
        # What has no tools is asked on the side, such as for a title.
        results = [
            text(block["content"])
            for message in request["messages"]
            if isinstance(message["content"], list)
            for block in message["content"]
            if block["type"] == "tool_result"
        ]
        step, call = self.next(results) if request.get("tools") else (0, None)
        if call:
            name = f"mcp__archon__{call.tool}"
            block: Json = {"type": "tool_use", "id": f"toolu_{step}", "name": name, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(call.arguments)}
        else:
            block = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": "done"}
        message = {
            **{"id": f"msg_{step}", "type": "message", "role": "assistant", "model": request["model"]},
            **{"content": [], "stop_reason": None, "stop_sequence": None},
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        end = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
        return [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]


class OpenAI(Model):
    """The Responses API, as Codex uses it."""

    def answer(self, path: str, request: Json) -> list[Json] | None:
        if not path.endswith("/responses"):
            return None
        outputs = [item for item in request["input"] if item["type"] == "function_call_output"]
        step, call = self.next([text(item["output"]) for item in outputs])
        if call:
            item: Json = {
                **{"type": "function_call", "id": f"fc_{step}", "call_id": f"call_{step}"},
                **{"namespace": "mcp__archon", "name": call.tool},
                "arguments": json.dumps(call.arguments),
            }
        else:
            said = {"type": "output_text", "text": "done", "annotations": []}
            item = {"type": "message", "id": "msg", "role": "assistant", "content": [said]}
        response = {"id": f"resp_{step}", "object": "response", "status": "in_progress", "output": []}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        ended = {**response, "status": "completed", "output": [item], "usage": usage}
        return [
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": ended},
        ]


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: Model

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            events = self.server.answer(self.path, json.loads(body))
        except Exception as error:  # the test is to fail, not the agent to try again
            self.server.failed.append(repr(error))
            events = None
        if events is None:
            return self.reply(404, "application/json", b"{}")
        lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
        self.reply(200, "text/event-stream", "".join(lines).encode())

    def do_GET(self) -> None:
        self.reply(404, "application/json", b"{}")

    do_HEAD = do_GET

    def reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the test does."""


def text(content: Any) -> str:
    """All texts of a tool's result."""
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content)
