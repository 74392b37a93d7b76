"""What a server says by itself while it works: notifications, and questions to the client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from mcp.shared.dispatcher import (
    CallOptions,
    OnNotify,
    OnNotifyIntercept,
    OnRequest,
    ProgressFnT,
    run_notify_intercept,
)
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.message import MessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp.types import INTERNAL_ERROR, RequestId

from .stream import Message
from .values import json_object

logger = logging.getLogger("archon_sessions")

QUESTIONS_MAX = 32
"""Answered at the same time, by models and people mostly. While so many are open, the stream that
brings the next one waits."""

Reply = Callable[[Message], Awaitable[None]]


class Context:
    """What the handlers of `mcp` are told about one message of the server's."""

    def __init__(self, request_id: RequestId | None) -> None:
        self.request_id = request_id
        self.transport = TransportContext(kind="streamable-http", can_send_request=False)
        self.can_send_request = False
        self.message_metadata: MessageMetadata = None
        self.cancel_requested = anyio.Event()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Refuses: questions to the server are requests of their own."""
        raise NoBackChannelError(method)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Drops it: no handler of ours reports on a question."""

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Drops it, as `notify` does."""


class Inbound:
    """Hands the server's messages to the handlers of `mcp`, and their answers to `reply`."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._on_request: OnRequest | None = None
        self._on_notify: OnNotify | None = None
        self._intercept: OnNotifyIntercept | None = None
        self._questions: set[asyncio.Task[None]] = set()

    def serve(
        self, on_request: OnRequest, on_notify: OnNotify, intercept: OnNotifyIntercept | None
    ) -> None:
        """Begins to hand messages over."""
        self._on_request, self._on_notify, self._intercept = on_request, on_notify, intercept

    async def take(self, message: Message, on_progress: ProgressFnT | None) -> None:
        """Deals with a notification; begins to deal with a question."""
        method, params = message.get("method"), json_object(message.get("params"))
        if not isinstance(method, str):
            return
        if "id" not in message:
            await self._notified(method, params, on_progress)
            return
        if len(self._questions) >= QUESTIONS_MAX:
            await asyncio.wait(self._questions, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._answer(message["id"], method, params))
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def close(self) -> None:
        """Gives up on all open questions."""
        questions = list(self._questions)
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)

    async def _notified(
        self, method: str, params: dict[str, Any] | None, on_progress: ProgressFnT | None
    ) -> None:
        try:
            if method == "notifications/progress" and on_progress and params:
                # The stream belongs to one request, so there is nobody else to tell.
                progress = params.get("progress")
                if isinstance(progress, int | float):
                    await on_progress(progress, params.get("total"), params.get("message"))
            if run_notify_intercept(self._intercept, method, params) or self._on_notify is None:
                return
            await self._on_notify(Context(None), method, params)
        except Exception:
            # A handler of the caller's; the answer to the request must not be lost over it.
            logger.exception("a handler failed at %s", method)

    async def _answer(self, id: RequestId, method: str, params: dict[str, Any] | None) -> None:
        answer: Message = {"jsonrpc": "2.0", "id": id}
        if self._on_request is None:
            return
        try:
            answer["result"] = await self._on_request(Context(id), method, params)
        except MCPError as error:
            answer["error"] = error.error.model_dump(by_alias=True, mode="json", exclude_none=True)
        except Exception:
            logger.exception("a handler failed at %s", method)
            answer["error"] = {"code": INTERNAL_ERROR, "message": "the client's handler failed"}
        await self._reply(answer)
