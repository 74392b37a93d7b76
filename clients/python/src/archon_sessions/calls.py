"""Requests that a server may answer with questions first, and what results say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from mcp import ClientSession
from mcp.client.session import ClientRequestContext
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ClientRequest,
    ErrorData,
    GetPromptRequest,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    InputResponses,
    ReadResourceRequest,
    ReadResourceRequestParams,
    ReadResourceResult,
    Result,
    TextContent,
)
from pydantic import TypeAdapter, ValidationError

from .errors import MCPToolError
from .values import json_object

ROUNDS_MAX = 10
"""Of questions for one call, as in `mcp`'s own client: a server that never has enough is broken."""

STATE_ONLY_S = 0.25
"""Before a call is made again that only asked for that."""

_TOOL: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    CallToolResult | InputRequiredResult
)
_PROMPT: TypeAdapter[GetPromptResult | InputRequiredResult] = TypeAdapter(
    GetPromptResult | InputRequiredResult
)
_RESOURCE: TypeAdapter[ReadResourceResult | InputRequiredResult] = TypeAdapter(
    ReadResourceResult | InputRequiredResult
)

ResultT = TypeVar("ResultT", bound=Result)
Round = Callable[[InputResponses | None, str | None], ClientRequest]


async def call(
    session: ClientSession,
    name: str,
    arguments: Mapping[str, Any] | None,
    timeout: float | None,
    on_progress: ProgressFnT | None,
) -> CallToolResult:
    """Calls a tool, and answers what it needs to know with the session's callbacks.

    Raises:
        MCPError: the server answered with an error, or a question was declined.
    """

    # Not `session.call_tool`: that lists the tools after the first call of each, and a failure
    # there would hide the answer of a tool that has run.
    def ask(responses: InputResponses | None, state: str | None) -> CallToolRequest:
        params = CallToolRequestParams(
            name=name,
            arguments=dict(arguments or {}),
            input_responses=responses,
            request_state=state,
        )
        return CallToolRequest(params=params)

    return await _in_rounds(session, ask, _TOOL, timeout, on_progress)


async def get_prompt(
    session: ClientSession,
    name: str,
    arguments: Mapping[str, str] | None,
    timeout: float | None,
    on_progress: ProgressFnT | None,
) -> GetPromptResult:
    """Gets a prompt, in the same way.

    Raises:
        MCPError: as `call` does.
    """

    def ask(responses: InputResponses | None, state: str | None) -> GetPromptRequest:
        params = GetPromptRequestParams(
            name=name,
            arguments=None if arguments is None else dict(arguments),
            input_responses=responses,
            request_state=state,
        )
        return GetPromptRequest(params=params)

    return await _in_rounds(session, ask, _PROMPT, timeout, on_progress)


async def read_resource(
    session: ClientSession,
    uri: str,
    timeout: float | None,
    on_progress: ProgressFnT | None,
) -> ReadResourceResult:
    """Reads a resource, in the same way.

    Raises:
        MCPError: as `call` does.
    """

    def ask(responses: InputResponses | None, state: str | None) -> ReadResourceRequest:
        params = ReadResourceRequestParams(uri=uri, input_responses=responses, request_state=state)
        return ReadResourceRequest(params=params)

    return await _in_rounds(session, ask, _RESOURCE, timeout, on_progress)


async def _in_rounds(
    session: ClientSession,
    ask: Round,
    kind: TypeAdapter[ResultT | InputRequiredResult],
    timeout: float | None,
    on_progress: ProgressFnT | None,
) -> ResultT:
    responses: InputResponses | None = None
    state: str | None = None
    for _ in range(ROUNDS_MAX):
        result = await session.send_request(
            ask(responses, state),
            kind,
            request_read_timeout_seconds=timeout,
            progress_callback=on_progress,
        )
        if not isinstance(result, InputRequiredResult):
            return result
        responses, state = await _answers(session, result), result.request_state
        if responses is None:
            await asyncio.sleep(STATE_ONLY_S)
    raise MCPToolError(f"the server asked back more than {ROUNDS_MAX} times")


async def _answers(session: ClientSession, wanted: InputRequiredResult) -> InputResponses | None:
    if not wanted.input_requests:
        return None
    answers: InputResponses = {}
    for key, request in wanted.input_requests.items():
        meta = request.params.meta if request.params else None
        context = ClientRequestContext(session=session, request_id=key, meta=meta)
        answer = await session.dispatch_input_request(context, request)
        if isinstance(answer, ErrorData):
            raise MCPError.from_error_data(answer)
        answers[key] = answer
    return answers


def first_text(result: CallToolResult) -> str | None:
    """Returns the first text of a result, if it has one."""
    texts = (block.text for block in result.content if isinstance(block, TextContent))
    return next(texts, None)


def structured(result: CallToolResult) -> dict[str, Any]:
    """Returns the structured content of one of the gateway's own tools."""
    return json_object(result.structured_content) or {}


@contextmanager
def told() -> Generator[None]:
    """Turns what `mcp` raises into what this package does."""
    try:
        yield
    except MCPError as error:
        raise MCPToolError(error.message, code=error.code, data=error.data) from error
    except ValidationError as error:
        raise MCPToolError(f"the answer is not what the protocol asks for: {error}") from error
