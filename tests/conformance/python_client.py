"""Our Python client as the conformance suite starts it: `python_client.py URL`, with the scenario in the environment.

It does what a careful user does: it lists the tools, calls each, and answers what servers ask. What scenarios want
beyond that is said below by their names.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp.types as types
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from archon_sessions import MCPClient, MCPClientError

SCENARIO = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
CONTEXT: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
VERSION = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "")
REDIRECT = "http://localhost:3030/callback"
# What the suite's scenario of that name knows us by.
METADATA_DOCUMENT = "https://conformance-test.local/client-metadata.json"


class Kept(TokenStorage):
    """Tokens and registrations, for one process."""

    def __init__(self, client: OAuthClientInformationFull | None = None) -> None:
        self.tokens: OAuthToken | None = None
        self.client = client

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def authorization(url: str) -> httpx2.Auth | None:
    """OAuth by `mcp`'s provider, for a user who allows everything at once."""
    if not SCENARIO.startswith("auth/"):
        return None
    where: dict[str, str] = {}

    async def redirect(to: str) -> None:
        async with httpx2.AsyncClient() as browser:
            response = await browser.get(to, follow_redirects=False)
            where["location"] = response.headers["location"]

    async def callback() -> AuthorizationCodeResult:
        said = parse_qs(urlsplit(where["location"]).query)
        return AuthorizationCodeResult(
            code=said["code"][0],
            state=said.get("state", [None])[0],
            iss=said.get("iss", [None])[0],
        )

    registered = None
    if "client_id" in CONTEXT:
        registered = OAuthClientInformationFull(
            client_id=CONTEXT["client_id"],
            client_secret=CONTEXT.get("client_secret"),
            redirect_uris=[REDIRECT],
            token_endpoint_auth_method="client_secret_basic",
        )
    return OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="archon-sessions",
            redirect_uris=[REDIRECT],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
        ),
        storage=Kept(registered),
        redirect_handler=redirect,
        callback_handler=callback,
        client_metadata_url=METADATA_DOCUMENT,
    )


async def elicit(_: object, params: types.ElicitRequestParams) -> types.ElicitResult:
    """Accepts what a server proposes: each field's default, or the least that its schema allows."""
    if isinstance(params, types.ElicitRequestURLParams):
        return types.ElicitResult(action="accept")
    fields = params.requested_schema.get("properties", {})
    return types.ElicitResult(action="accept", content={k: least(v) for k, v in fields.items()})


async def sample(_: object, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    """Says something."""
    content = types.TextContent(type="text", text="as the model said")
    return types.CreateMessageResult(role="assistant", content=content, model="none")


async def roots(_: object) -> types.ListRootsResult:
    """Shows a folder."""
    return types.ListRootsResult(roots=[types.Root(uri="file:///tmp", name="tmp")])


def least(schema: dict[str, Any]) -> Any:
    """A value of a schema."""
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    values: dict[str, Any] = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
    return values.get(schema.get("type", "string"), "text")


def arguments(tool: types.Tool) -> dict[str, Any]:
    """What a tool is called with."""
    if SCENARIO == "json-schema-2020-12-preservation":
        return {"schema": ROUND_TRIP.get("schema", {})}
    schema = tool.input_schema
    wanted = schema.get("required") or schema.get("properties", {})
    return {name: least(schema["properties"][name]) for name in wanted}


ROUND_TRIP: dict[str, Any] = {}


async def use(client: MCPClient) -> None:
    """Does what a scenario waits for."""
    tools = await client.list_tools()
    ROUND_TRIP["schema"] = next((tool.input_schema for tool in tools if "$defs" in tool.input_schema), {})
    given = [(call["name"], call["arguments"]) for call in CONTEXT.get("toolCalls", [])]
    calls = given or [(tool.name, arguments(tool)) for tool in tools]
    # All at once, as agents do.
    outcomes = await asyncio.gather(
        *(client.call_tool(name, values) for name, values in calls), return_exceptions=True
    )
    for (name, _), outcome in zip(calls, outcomes, strict=True):
        print(name, outcome)
        if isinstance(outcome, BaseException) and not isinstance(outcome, MCPClientError):
            raise outcome
    if SCENARIO in ("http-standard-headers",):
        for resource in await client.list_resources():
            await client.read_resource(str(resource.uri))
        for prompt in await client.list_prompts():
            await client.get_prompt(prompt.name, {a.name: "x" for a in prompt.arguments or []})


async def main() -> None:
    """Connects and goes to work."""
    url = sys.argv[1]
    client = MCPClient(
        url,
        era="modern" if VERSION.startswith("2026") else "auto",
        client_name="archon-sessions",
        auth=authorization(url),
        elicitation_callback=elicit,
        sampling_callback=sample,
        list_roots_callback=roots,
        retry_delay=0.05,
    )
    try:
        async with client:
            await use(client)
    except MCPClientError as error:
        sys.exit(f"{type(error).__name__}: {error}")


asyncio.run(main())
