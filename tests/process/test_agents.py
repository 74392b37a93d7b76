"""The pages about agents: that what they say to paste is what the command prints, and that it can be pasted."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from command import archon
from harness import ROOT

DOCS = ROOT / "docs"
README = [*sorted(ROOT.glob("*.md")), ROOT / "deploy/README.md"]
PAGES = sorted((DOCS / "agents").glob("*.md"))
# Where a page is called otherwise than the agent.
AGENTS = {"gemini-cli": "gemini"}
# These are no agents: clients to begin from.
CODE = {"curl", "rust", "python"}
# A client key as the command makes it.
KEY = re.compile(r"\b[0-9a-f]{64}\b")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]+))?\)")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path) -> list[tuple[str, str]]:
    """What a page says to paste: in which language, and itself."""
    return BLOCK.findall(page.read_text())


def agent_of(page: Path) -> str:
    return AGENTS.get(page.stem, page.stem)


def includes(more: Any, less: Any) -> bool:
    """Whether a configuration says all that another one says."""
    if isinstance(less, dict):
        return all(name in more and includes(more[name], less[name]) for name in less)
    if isinstance(less, list):
        return more[: len(less)] == less
    return more == less


@pages
def test_a_page_says_what_the_command_prints(page, tmp_path):
    printed = archon("client-config", agent_of(page), cwd=tmp_path)
    _, first = blocks(page)[0]
    assert first.strip() == KEY.sub("a-key-of-its-own", printed.stdout).strip()
    # Each time another, but for clients that keep their own handles.
    again = archon("client-config", agent_of(page), cwd=tmp_path).stdout
    assert (again != printed.stdout) == bool(KEY.search(printed.stdout))
    # The file to put it into, if it is one.
    for name in re.findall(r"[\w.~/-]+\.(?:json|toml)\b", printed.stderr):
        assert name in page.read_text()


@pages
def test_what_a_page_shows_can_be_pasted_and_is_of_the_same_server(page, tmp_path):
    plain: Any = None
    for language, text in blocks(page):
        match language:
            case "json" | "toml":
                read = json.loads(text) if language == "json" else tomllib.loads(text)
                plain = plain or read
                assert includes(read, plain), "with a key it is the same server, at the same place"
                assert "archon" in text and "http://127.0.0.1:8051/mcp" in text
            case "sh":
                assert all(shlex.split(line) for line in text.splitlines())
            case _:
                pytest.fail(f"{page.name}: what is {language}?")


@pages
def test_a_page_answers_what_its_reader_wants_to_know(page):
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings == [
        *["Add it", "What you see", "What survives", "With an API key", "When something is wrong"]
    ]


def test_each_agent_has_a_page_and_each_page_is_listed(tmp_path):
    refused = archon("client-config", "nobody", cwd=tmp_path, code=2).stderr
    listed = re.search(r"possible values: ([^\]]+)\]", refused)
    agents = set(listed[1].split(", ")) - CODE
    assert {agent_of(page) for page in PAGES} == agents
    index = (DOCS / "agents.md").read_text()
    assert all(f"(agents/{page.name})" in index for page in PAGES)


@pytest.mark.parametrize("page", [*README, *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if anchor else []
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, anchor
