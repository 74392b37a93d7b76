"""Several upstreams behind one gateway, upstreams of one era, and our own tools beside theirs."""

from __future__ import annotations

import pytest

import rows
from harness import wait_for
from wire import (
    JSON_HEADERS,
    MODERN,
    Answer,
    LegacyClient,
    ModernClient,
    encoded,
    get_json,
    initialize,
    message,
    send,
)

OURS = {
    "health_check",
    "heartbeat",
    "session_info",
    "get_reconnect_token",
    "reconnect_session",
}
HANDSHAKES = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]


def names(answer: Answer) -> list[str]:
    """The names of the tools in an answer to `tools/list`."""
    return [tool["name"] for tool in answer.result["tools"]]


def test_each_upstream_has_its_own_path_and_the_first_is_the_default(start_fixture, start_archon):
    upstreams = {"one": start_fixture(), "two": start_fixture()}
    gateway = start_archon(upstream=upstreams)
    for name, upstream in upstreams.items():
        direct = ModernClient(upstream.url)
        assert direct.text("count", key=name) == "1"

    def count(path, key):
        return LegacyClient.connect(gateway.url + path).text("count", key=key, add=0)

    assert [count(path, "one") for path in ("", "/", "/one", "/one/", "/two")] == list("11110")
    assert [count(path, "two") for path in ("", "/one", "/two")] == list("001")
    rows.expect(
        gateway.db,
        [("one", 6), ("two", 2)],
        "SELECT upstream, count(*) FROM archon_mcp_requests WHERE tool_name = 'count'"
        " GROUP BY 1 ORDER BY 1",
    )


def test_a_handle_means_nothing_at_another_upstream(start_fixture, start_archon):
    gateway = start_archon(upstream={"one": start_fixture(), "two": start_fixture()})
    client = LegacyClient.connect(gateway.url + "/one")
    elsewhere = LegacyClient(gateway.url + "/two", client.handle, client.session)

    refused = elsewhere.call("echo", {"text": "x"})
    assert (refused.status, refused.handle, refused.session) == (404, None, None)
    assert elsewhere.end().status == 404
    # The same upstream under its other path is the same.
    default = LegacyClient(gateway.url, client.handle, client.session)
    assert default.text("echo", text="x") == "x"
    assert client.text("echo", text="x") == "x"


def test_one_session_may_span_upstreams(start_fixture, start_archon):
    gateway = start_archon(upstream={"one": start_fixture(), "two": start_fixture()})
    one = LegacyClient.connect(gateway.url + "/one")
    header = {"x-archon-session-id": one.session}
    two = LegacyClient.connect(gateway.url + "/two", headers=header)
    assert two.session == one.session
    assert two.text("echo", text="x") == one.text("echo", text="x") == "x"
    # Its name alone leads to neither connection: others know it as well.
    for path in ("/one", "/two"):
        answer = send(
            gateway.url + path, "POST", one.body("tools/list"), {**JSON_HEADERS, **header}
        )
        assert (answer.status, answer.handle) == (400, None)


def test_an_unknown_upstream_is_named_with_those_that_exist(start_fixture, start_archon):
    gateway = start_archon(upstream={"one": start_fixture(), "two": "http://127.0.0.1:9/mcp"})
    refused = send(gateway.url + "/three", "POST", encoded(initialize()), JSON_HEADERS)
    assert refused.status == 404
    assert "/mcp/one, /mcp/two" in refused.error["message"]


def test_an_upstream_that_is_down_harms_no_other(start_fixture, start_archon):
    gateway = start_archon(upstream={"up": start_fixture(), "down": "http://127.0.0.1:9/mcp"})
    refused = send(gateway.url + "/down", "POST", encoded(initialize()), JSON_HEADERS)
    assert 'upstream "down" could not be reached' in refused.error["message"]
    assert refused.handle is None
    assert LegacyClient.connect(gateway.url).text("echo", text="x") == "x"


def test_a_version_that_is_not_known_here_is_refused_with_those_that_are(
    start_fixture, start_archon
):
    gateway = start_archon(upstream=start_fixture("--legacy-only"))
    body = encoded(message("tools/list", {"_meta": ModernClient(gateway.url).meta()}, 1))
    later = {"mcp-protocol-version": "2027-01-01", "mcp-method": "tools/list"}
    refused = send(
        gateway.url,
        "POST",
        body.replace(MODERN.encode(), b"2027-01-01"),
        {**JSON_HEADERS, **later},
    )
    assert (refused.status, refused.error["code"]) == (400, -32022)
    assert refused.error["data"] == {"supported": [MODERN], "requested": "2027-01-01"}


@pytest.mark.parametrize("version", HANDSHAKES)
def test_every_handshake_version_is_kept(start_fixture, start_archon, version):
    gateway = start_archon(upstream=start_fixture("--legacy-only"))
    client = LegacyClient.connect(gateway.url, version=version)
    assert client.version == version
    assert client.text("echo", text="x") == "x"
    rows.expect_session(gateway.db, client.session, protocol_version=version)


def test_a_handshake_for_a_modern_version_is_answered_with_the_last_legacy_one(
    start_fixture, start_archon
):
    gateway = start_archon(upstream=start_fixture())
    assert LegacyClient.connect(gateway.url, version=MODERN).version == "2025-11-25"


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_our_tools_stand_beside_the_upstreams(start_fixture, start_archon, era):
    upstream = start_fixture()
    gateway = start_archon(upstream=upstream)
    theirs = names(ModernClient(upstream.url).request("tools/list"))
    client = LegacyClient.connect(gateway.url) if era == "legacy" else ModernClient(gateway.url)

    assert names(client.request("tools/list")) == [
        *theirs,
        "health_check",
        "heartbeat",
        "session_info",
        "get_reconnect_token",
        "reconnect_session",
    ]
    health = client.call("health_check").result["structuredContent"]
    assert (health["status"], health["service"]) == ("healthy", "archon-mcp")
    session = client.call("session_info")
    assert session.result["structuredContent"]["session_id"] == session.session
    assert session.result["structuredContent"]["era"] == era
    rows.expect_counts(gateway.db, {"health_check": 1, "session_info": 1}, "tool_name")


@pytest.mark.parametrize("paging", [(), ("--paged",)], ids=["one page", "paged"])
@pytest.mark.parametrize("is_listed_first", [True, False], ids=["listed", "not listed"])
def test_an_upstreams_tool_of_our_name_wins(start_small, start_archon, paging, is_listed_first):
    gateway = start_archon(upstream=start_small(*paging))
    client = LegacyClient.connect(gateway.url)
    if is_listed_first:
        listed, cursor = [], {}
        while True:
            answer = client.request("tools/list", cursor)
            listed += names(answer)
            if "nextCursor" not in answer.result:
                break
            cursor = {"cursor": answer.result["nextCursor"]}
        assert listed == [
            *("echo", "hang", "die", "cut", "heartbeat"),
            *("health_check", "archon_heartbeat", "session_info"),
            *("get_reconnect_token", "reconnect_session"),
        ]

    assert client.text("heartbeat") == "the upstream's own heartbeat"
    ours = client.call("archon_heartbeat").result["structuredContent"]
    assert (ours["success"], ours["session_id"]) == (True, client.session)
    assert client.call("session_info").result["structuredContent"]["session_id"] == client.session
    # A name that nobody has is the upstream's to refuse.
    assert "no such tool" in client.call("archon_session_info").error["message"]


def test_our_tools_can_be_left_out(start_archon, config):
    for args in (("--no-tools",), config(tools={"inject": False})):
        client = LegacyClient.connect(start_archon(*args).url)
        assert not OURS & set(names(client.request("tools/list")))
        assert "unknown tool" in client.call("heartbeat").error["message"]


def test_a_list_that_breaks_off_names_its_own_upstream(start_small, start_archon):
    gateway = start_archon(upstream={"first": start_small(), "second": start_small("--cut-lists")})
    client = LegacyClient.connect(gateway.url + "/second")
    broken = client.request("tools/list")
    assert '"second"' in broken.error["message"]
    assert client.text("echo", text="x") == "x"


def test_an_upstream_is_told_nothing_that_was_meant_for_us(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    private = {
        "authorization": "Bearer secret",
        "cookie": "archon_session=x; other=y",
        "x-archon-session-id": client.session,
        "x-mcp-session-id": client.handle,
        "origin": "http://localhost:5173",
    }
    passed = {"x-request-id": "7", "accept-language": "de"}
    seen = client.call("headers", headers={**private, **passed}).result["structuredContent"]
    assert not set(private) & set(seen)
    assert {name: seen[name] for name in passed} == {
        "x-request-id": ["7"],
        "accept-language": ["de"],
    }
    assert seen["mcp-session-id"] != [client.handle]


def test_an_upstream_is_sent_the_headers_that_its_operator_configured(
    start_fixture, start_archon, tmp_path
):
    upstream = start_fixture()
    path = tmp_path / "archon.toml"
    path.write_text(
        f'[upstreams.one]\nurl = "{upstream.url}"\nheaders = {{ Authorization = "Bearer ours" }}\n'
    )
    gateway = start_archon("--config", str(path))
    client = LegacyClient.connect(gateway.url)
    sent = client.call("headers", headers={"authorization": "Bearer theirs"})
    assert sent.result["structuredContent"]["authorization"] == ["Bearer ours"]
    assert "Bearer" not in gateway.log()


def test_health_says_which_upstreams_are_down_before_anybody_calls_them(
    start_fixture, start_archon, config
):
    upstream = start_fixture()
    gateway = start_archon(
        *config(
            health={"probe_seconds": 0.2},
            **{
                "upstreams.one": {"url": upstream.url},
                "upstreams.away": {"url": "http://127.0.0.1:9/mcp"},
            },
        )
    )

    def are_down(*names: str) -> bool:
        mcp = get_json(gateway.url.removesuffix("/mcp") + "/health")[1]["health"]
        api = get_json(gateway.api_url + "/health")[1]
        return set(mcp["upstreams_down"]) == set(api.get("upstreams_down", [])) == set(names)

    wait_for("one is known to be away", lambda: are_down("away"))
    upstream.kill()
    wait_for("both are", lambda: are_down("away", "one"))
    upstream.restart()
    wait_for("one is back", lambda: are_down("away"))
    log = gateway.log()
    assert log.count("upstream away is down") == log.count("upstream one is down") == 1
    assert log.count("upstream one is up again after") == 1
