"""Clients that write their whole request before they read: they get the answer, and no broken pipe."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
import requests

from harness import Archon, tool
from wire import JSON_HEADERS, post_by_hand

pytestmark = pytest.mark.timeout(240)

LENGTH = 40 * 1024 * 1024


def by_socket(url: str) -> int:
    return post_by_hand(url, JSON_HEADERS, b" " * LENGTH).status


def by_requests(url: str) -> int:
    return requests.post(url, data=b" " * LENGTH, timeout=60).status_code


def by_fetch(url: str) -> int:
    script = f"const a = await fetch('{url}', {{method: 'POST', body: ' '.repeat({LENGTH})}}); console.log(a.status)"
    command = [str(tool("node")), "--input-type=module", "--eval", script]
    return int(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)


def at(gateway: Archon, path: str) -> str:
    return gateway.url.removesuffix("/mcp") + path


@pytest.mark.parametrize("post", [by_socket, by_requests, by_fetch])
def test_a_refusal_before_the_body_was_read_reaches_its_client(
    start_archon, config, post: Callable[[str], int]
):
    key = {"name": "a", "sha256": "00" * 32}
    (_, path) = config(auth={"required": True})
    with open(path, "a") as file:
        file.write("[[auth.api_keys]]\n")
        file.writelines(f'{name} = "{value}"\n' for name, value in key.items())
    closed, opened = start_archon("--config", path), start_archon()
    assert post(closed.url) == 401
    assert post(opened.url) == 413
    assert post(at(opened, "/none")) == 404
    session = f"{opened.api_url}/api/mcp/sessions/11111111-2222-4333-8444-555555555555"
    assert post(f"{session}/reconnect") in (400, 413, 415)
    assert post(f"{session}/none") in (404, 405)
