"""What a client does with resources, prompts, completions and log levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcp.shared.dispatcher import ProgressFnT
from mcp.types import (
    CompleteResult,
    EmptyResult,
    GetPromptResult,
    LoggingLevel,
    Prompt,
    PromptReference,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
    SetLevelRequest,
    SetLevelRequestParams,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

from . import calls
from .calls import told
from .errors import MCPToolError
from .listing import listed

if TYPE_CHECKING:
    from .connection import Connection

SUBSCRIPTIONS_MAX = 1000
"""They are made again with each handshake, so there is a limit to them."""


class Features:
    """Methods of a client beside tools and sessions.

    All raise `MCPConnectionError`, `MCPSessionError`, `MCPToolError` and `MCPOutcomeUnknown` as
    `MCPClient.call_tool` does.
    """

    def _connected(self) -> Connection:
        raise NotImplementedError

    async def list_resources(self) -> list[Resource]:
        """Returns the server's resources, all pages of them."""
        ask = self._connected().session.list_resources
        with told():
            return await listed(
                "resources",
                lambda params: ask(params=params),
                lambda page: page.resources,
                lambda resource: str(resource.uri),
            )

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """Returns the templates of the server's resources, all pages of them."""
        ask = self._connected().session.list_resource_templates
        with told():
            return await listed(
                "resource templates",
                lambda params: ask(params=params),
                lambda page: page.resource_templates,
                lambda template: template.uri_template,
            )

    async def read_resource(
        self,
        uri: str,
        *,
        timeout: float | None = None,
        on_progress: ProgressFnT | None = None,
    ) -> ReadResourceResult:
        """Reads a resource: `contents`, each with `text` or `blob`."""
        session = self._connected().session
        with told():
            return await calls.read_resource(session, uri, timeout, on_progress)

    async def subscribe_resource(self, uri: str) -> None:
        """Asks a legacy server to tell `message_handler` when a resource changes.

        It is asked again when the client has to begin another connection.
        """
        connection = self._legacy("resources/subscribe")
        if len(connection.subscribed) >= SUBSCRIPTIONS_MAX:
            raise MCPToolError(f"more than {SUBSCRIPTIONS_MAX} resources are subscribed to")
        request = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
        with told():
            await connection.session.send_request(request, EmptyResult)
        connection.subscribed[uri] = None

    async def unsubscribe_resource(self, uri: str) -> None:
        """Ends what `subscribe_resource` began."""
        connection = self._legacy("resources/unsubscribe")
        connection.subscribed.pop(uri, None)
        request = UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri))
        with told():
            await connection.session.send_request(request, EmptyResult)

    async def list_prompts(self) -> list[Prompt]:
        """Returns the server's prompts, all pages of them."""
        ask = self._connected().session.list_prompts
        with told():
            return await listed(
                "prompts",
                lambda params: ask(params=params),
                lambda page: page.prompts,
                lambda prompt: prompt.name,
            )

    async def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
        on_progress: ProgressFnT | None = None,
    ) -> GetPromptResult:
        """Returns a prompt's `messages`, with its arguments filled in."""
        session = self._connected().session
        with told():
            return await calls.get_prompt(session, name, arguments, timeout, on_progress)

    async def complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: Mapping[str, str],
        context: Mapping[str, str] | None = None,
    ) -> CompleteResult:
        """Returns proposals for one argument: its `name` and the `value` so far.

        `context` holds the other arguments that are known.
        """
        session = self._connected().session
        others = None if context is None else dict(context)
        with told():
            return await session.complete(ref, dict(argument), others)

    async def set_logging_level(self, level: LoggingLevel) -> None:
        """Asks a legacy server for log messages from this level on, for `logging_callback`.

        It is asked again when the client has to begin another connection.
        """
        connection = self._legacy("logging/setLevel")
        request = SetLevelRequest(params=SetLevelRequestParams(level=level))
        with told():
            await connection.session.send_request(request, EmptyResult)
        connection.log_level = level

    def _legacy(self, method: str) -> Connection:
        connection = self._connected()
        if connection.channel.era_is_modern:
            raise MCPToolError(f"the modern era has no {method}; use `MCPClient(era='legacy')`")
        return connection
