"""One tool call, with the questions that a server asks back, and what its result says."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from mcp import ClientSession
from mcp.client.session import ClientRequestContext
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ErrorData,
    InputRequiredResult,
    InputResponses,
    TextContent,
)
from pydantic import TypeAdapter, ValidationError

from .errors import MCPToolError
from .values import json_object

ROUNDS_MAX = 10
"""Of questions for one call, as in `mcp`'s own client: a server that never has enough is broken."""

_RESULT: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    CallToolResult | InputRequiredResult
)


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
    responses: InputResponses | None = None
    state: str | None = None
    for _ in range(ROUNDS_MAX):
        params = CallToolRequestParams(
            name=name,
            arguments=dict(arguments or {}),
            input_responses=responses,
            request_state=state,
        )
        result = await session.send_request(
            CallToolRequest(params=params),
            _RESULT,
            request_read_timeout_seconds=timeout,
            progress_callback=on_progress,
        )
        if isinstance(result, CallToolResult):
            return result
        responses, state = await _answers(session, result), result.request_state
    raise MCPToolError(f"{name} asked more than {ROUNDS_MAX} times")


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
