"""The pages of settings and errors: that they name what the code has, and nothing else. That the defaults are right is
tested beside the code, in config/tests.rs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import ROOT

CONFIG = ROOT / "crates/archon-server/src/config"
CLI = ROOT / "crates/archon-server/src/cli"
PAGE = (ROOT / "docs/configuration.md").read_text()
ERRORS = (ROOT / "docs/errors.md").read_text()

STRUCT = re.compile(r"^(?:pub )?struct (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^ {4}(?:pub )?(\w+): (.+),$", re.MULTILINE)
COMMENT = re.compile(r"^ *(?://|#\[).*\n", re.MULTILINE)
# A table of the page and its rows: settings are in the first column.
TABLE = re.compile(r"^### `\[+(\w[\w.]*)\]+`\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


def structs(*files: Path) -> dict[str, dict[str, str]]:
    """The structs of these files: the type of each field by its name."""
    text = "".join(COMMENT.sub("", file.read_text()) for file in files)
    return {name: dict(FIELD.findall(body)) for name, body in STRUCT.findall(text)}


def settings() -> dict[str, set[str]]:
    """The settings of each table of `archon.toml`, as the code reads them."""
    known = structs(CONFIG / "file.rs", CONFIG / "auth.rs")
    tables: dict[str, set[str]] = {}

    def walk(path: str, struct: str) -> None:
        tables[path] = set(known[struct])
        for name, kind in known[struct].items():
            inner = re.fullmatch(r"(?:(?:Vec|Option)<)?(\w+)>?", kind)
            if inner and inner[1] in known:
                walk(f"{path}.{name}", inner[1])

    for name, kind in known["File"].items():
        walk("upstreams.NAME" if "Map<" in kind else name, re.findall(r"\w+", kind)[-1])
    return tables


def documented() -> dict[str, set[str]]:
    return {name: set(ROW.findall(text)) for name, text in TABLE.findall(PAGE)}


def test_the_page_has_each_table_and_no_other():
    assert len(settings()) > 10
    assert set(documented()) == set(settings())


@pytest.mark.parametrize("table", sorted(settings()))
def test_the_page_has_each_setting_and_no_other(table):
    assert settings()[table]
    assert documented().get(table) == settings()[table]


def test_the_page_has_each_flag_and_variable_and_no_other():
    serve = (CLI / "serve.rs").read_text()
    arguments = re.findall(r"#\[arg\((.*?)\)\]\s+(\w+):", serve, re.DOTALL)
    assert len(arguments) > 10
    flags, variables = set(), set(re.findall(r'env = "(\w+)"', serve))
    for attributes, field in arguments:
        named = re.search(r'long = "([\w-]+)"', attributes)
        assert "long" in attributes
        flags.add("--" + (named[1] if named else field.replace("_", "-")))
    # These are read without the parser of flags, or by other parts of the program.
    elsewhere = {"ARCHON_UPSTREAM", "ARCHON_API_TOKEN", "ARCHON_LOG"}
    sources = serve + "".join(file.read_text() for file in (*CONFIG.glob("*.rs"), CLI.parent / "logging.rs"))
    assert all(f'"{name}"' in sources for name in elsewhere)
    on_page = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE))
    assert on_page == flags
    assert set(re.findall(r"\bARCHON_[A-Z_]+\b", PAGE)) == variables | elsewhere


def test_the_page_of_errors_has_each_code_of_the_gateway():
    codes = (ROOT / "crates/archon-sessions/src/protocol/codes.rs").read_text()
    known = set(re.findall(r"pub const \w+: i64 = (-31\d+);", codes))
    assert known
    assert set(re.findall(r"-310\d\d\b", ERRORS)) == known


def test_the_page_of_errors_has_each_code_of_the_api():
    api = "".join(file.read_text() for file in sorted((ROOT / "crates/archon-server/src/api").rglob("*.rs")))
    made = re.findall(r'(?:(?:ApiError|Self)::new\(\s*[\w:]+,\s*|try_again\()"(\w+)"', api)
    assert len(made) > 25
    assert not {code for code in made if f"`{code}`" not in ERRORS}
