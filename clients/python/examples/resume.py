"""Goes on in the session of its last run, from another process: run it twice.

python resume.py state.json
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from archon_sessions import MCPClient, SavedState


async def work(state: SavedState | None) -> SavedState:
    """Works in the session that a state leads to, or in a new one, and returns the next state."""
    client = MCPClient(client_name="resume", state=state)
    await client.initialize()
    result = await client.call_tool("session_info")
    print("resumed" if state else "began", "session", client.session_id)
    known: dict[str, Any] = result.structured_content or {}
    print("connected at", known.get("connected_at"))
    state = await client.save_state()
    # The session is to outlive this process, so nobody says goodbye.
    await client.close(end_session=False)
    return state


def load(path: Path) -> SavedState | None:
    """Reads the state of the last run, if there was one."""
    return SavedState.from_json(path.read_text()) if path.exists() else None


def save(path: Path, state: SavedState) -> None:
    """Writes a state where only its owner can read it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as written:
        written.write(state.to_json())


file = Path(sys.argv[1])
save(file, asyncio.run(work(load(file))))
