"""A client for MCP servers whose session outlives failures: see `MCPClient`."""

from __future__ import annotations

import logging

from .client import MCPClient
from .errors import (
    MCPClientError,
    MCPConnectionError,
    MCPOutcomeUnknown,
    MCPSessionError,
    MCPToolError,
)
from .oneshot import call_mcp_tool, check_mcp_health
from .state import SavedState, SessionInfo
from .sync import SyncMCPClient
from .version import VERSION

__version__ = VERSION

__all__ = [
    "MCPClient",
    "MCPClientError",
    "MCPConnectionError",
    "MCPOutcomeUnknown",
    "MCPSessionError",
    "MCPToolError",
    "SavedState",
    "SessionInfo",
    "SyncMCPClient",
    "__version__",
    "call_mcp_tool",
    "check_mcp_health",
]

# Programs that set up no logging are not to be bothered with ours.
logging.getLogger("archon_sessions").addHandler(logging.NullHandler())
