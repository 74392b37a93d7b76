"""Who may use the API, and from where."""

from __future__ import annotations

import hashlib
import subprocess

import pytest

from api import Api
from harness import archon_bin, wait_for
from wire import LegacyClient

pytestmark = pytest.mark.timeout(180)

OPERATOR, VIEWER = "operator-" + 40 * "o", "viewer-" + 40 * "v"
ELSEWHERE = "https://dashboard.example"

# What a viewer may not do, with a session's id in place of {}.
CHANGES = [
    ("DELETE", "/sessions/{}", None),
    ("POST", "/sessions/{}/disconnect", {}),
    ("POST", "/sessions/{}/heartbeat", None),
    ("GET", "/sessions/{}/token", None),
    ("PUT", "/pricing", {"pricing": []}),
]
READS = [
    "/status",
    "/config",
    "/clients",
    "/sessions",
    "/sessions/health",
    "/sessions/disconnected",
    "/sessions/{}",
    "/usage/summary",
    "/pricing",
    "/errors",
    "/refusals",
    "/analytics",
    "/logs",
    "//metrics",
]


def settings(directory, more: str = "") -> tuple[str, str]:
    """A configuration with a viewer's token."""
    digest = hashlib.sha256(VIEWER.encode()).hexdigest()
    path = directory / "archon.toml"
    path.write_text(
        f'[api]\ncors_origins = ["{ELSEWHERE}"]\n'
        f'[[api.tokens]]\nname = "tv"\nsha256 = "{digest}"\nrole = "viewer"\n{more}'
    )
    return "--config", str(path)


@pytest.fixture
def closed(start_archon, tmp_path):
    """A gateway whose API wants a token."""
    return start_archon(*settings(tmp_path), env={"ARCHON_API_TOKEN": OPERATOR})


def test_this_machine_needs_no_token_where_none_is_configured(start_archon):
    api = Api(start_archon().api_url)
    assert api.get("/me") == {"role": "operator", "name": None, "auth_required": False}
    assert api.ask("POST", "/login", {"token": "any"}).json["role"] == "operator"


def test_nobody_without_a_token_sees_anything_but_health(closed):
    session = LegacyClient.connect(closed.url).session
    api = Api(closed.api_url)
    for path in READS:
        said = api.ask("GET", path.format(session))
        assert (said.status, said.code) == (401, "unauthorized"), path
        assert said.headers["www-authenticate"].startswith("Bearer")
    for method, path, body in CHANGES:
        assert api.ask(method, path.format(session), body).status == 401, path
    for path in ["//health", "//api/health", "/health"]:
        assert api.ask("GET", path).status == 200
    assert api.get("/me") == {"role": None, "name": None, "auth_required": True}
    assert LegacyClient.connect(closed.url).call("session_info").status == 200


def test_a_viewer_sees_everything_and_changes_nothing(closed):
    client = LegacyClient.connect(closed.url)
    api = Api(closed.api_url).by(VIEWER)
    assert api.get("/me") == {"role": "viewer", "name": "tv", "auth_required": True}
    for path in READS:
        assert api.ask("GET", path.format(client.session)).status == 200, path
    for method, path, body in CHANGES:
        assert api.ask(method, path.format(client.session), body).status == 403, path
    assert client.call("session_info").status == 200


def test_an_operator_may_change_things(closed):
    client = LegacyClient.connect(closed.url)
    api = Api(closed.api_url).by(OPERATOR)
    assert api.get("/me") == {
        "role": "operator",
        "name": "ARCHON_API_TOKEN",
        "auth_required": True,
    }
    assert api.get(f"/sessions/{client.session}/token")["reconnect_token"]
    assert api.ask("DELETE", f"/sessions/{client.session}").status == 200


def test_a_client_needs_only_its_own_session(closed):
    session = LegacyClient.connect(closed.url).session
    api = Api(closed.api_url, {"x-archon-session-id": session})
    assert api.ask("POST", f"/sessions/{session}/heartbeat").status == 200
    # Others know its id as well: it gives no token.
    said = api.ask("GET", f"/sessions/{session}/token")
    assert (said.status, said.code) == (403, "not_proven")
    key = {"x-archon-client-key": "key-of-these-tests-1234567890"}
    session = LegacyClient.connect(closed.url, headers=key).session
    api = Api(closed.api_url, {"x-archon-session-id": session, **key})
    token = api.get(f"/sessions/{session}/token")["reconnect_token"]
    back = Api(closed.api_url).ask("POST", f"/sessions/{session}/reconnect", {"token": token})
    assert back.status == 200 and back.json["reconnect_count"] == 1
    assert api.ask("GET", f"/sessions/{session}").status == 401


def test_who_was_turned_away_at_either_port_can_be_seen(closed):
    stranger = LegacyClient(closed.url, "11111111-2222-4333-8444-555555555555", "")
    assert {stranger.call("find_projects").status for _ in range(50)} == {404}
    wrong = Api(closed.api_url).by("wrong-token")
    codes = {wrong.ask("GET", "/sessions").code for _ in range(30)}
    assert codes == {"invalid_token", "rate_limited"}
    # The right one is let in all the same, from the same address.
    api = Api(closed.api_url).by(OPERATOR)

    def counts() -> dict[str, int]:
        """How many were turned away, by cause."""
        found: dict[str, int] = {}
        for row in api.get("/refusals")["refusals"]:
            assert row["peer"] == "127.0.0.1" and row["detail"]
            assert row["upstream"] == ("demo" if row["cause"] == "unknown_session" else None)
            found[row["cause"]] = found.get(row["cause"], 0) + row["count"]
        return found

    wait_for("the fifty are counted", lambda: counts().get("unknown_session") == 50)
    wait_for("the others too", lambda: sum(counts().values()) == 80)
    assert "wrong-token" not in str(api.get("/refusals"))
    metrics = api.ask("GET", "//metrics").body.decode()
    assert 'archon_refusals_total{cause="unknown_session",upstream="demo"} 50' in metrics


def test_a_wrong_token_is_refused_and_logged_without_it(closed):
    said = Api(closed.api_url).by("wrong-token").ask("GET", "/sessions")
    assert (said.status, said.code) == (401, "invalid_token")
    wait_for("a line", lambda: "was turned away: invalid_token" in closed.log(), 30)
    log = closed.log()
    assert "wrong-token" not in log and OPERATOR not in log


def test_who_guesses_must_wait(closed):
    api = Api(closed.api_url)
    said = None
    for _ in range(50):
        said = api.ask("POST", "/login", {"token": "guess"})
        if said.status == 429:
            break
        assert (said.status, said.code) == (401, "invalid_token")
    assert said and said.status == 429 and int(said.headers["retry-after"]) >= 1


def test_a_browser_logs_in_and_out(closed):
    api = Api(closed.api_url)
    own = {"origin": closed.api_url}
    said = api.ask("POST", "/login", {"token": OPERATOR}, own)
    assert said.status == 200 and said.json["role"] == "operator"
    cookie, *marks = [part.strip() for part in said.headers["set-cookie"].split(";")]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(marks)
    assert OPERATOR not in cookie
    session = LegacyClient.connect(closed.url).session
    browser = Api(closed.api_url, {"cookie": f"theme=dark; {cookie}"})
    assert browser.get("/sessions")["total"] == 1
    # A page elsewhere can make the browser send the cookie, but not say that it comes from here.
    for foreign in [{"origin": "http://localhost:1"}, {"content-type": "text/plain"}, {}]:
        refused = browser.ask("DELETE", f"/sessions/{session}", headers=foreign)
        assert (refused.status, refused.code) == (403, "cross_site"), foreign
    assert browser.ask("DELETE", f"/sessions/{session}", headers=own).status == 200
    assert browser.ask("POST", "/logout", headers=own).status == 200
    assert browser.ask("GET", "/sessions").status == 401


def test_pages_elsewhere_are_let_in_by_name_only(closed):
    api = Api(closed.api_url).by(OPERATOR)
    listed = api.ask("GET", "/sessions", headers={"origin": ELSEWHERE})
    assert listed.status == 200
    assert listed.headers["access-control-allow-origin"] == ELSEWHERE
    assert listed.headers.get("access-control-allow-credentials") is None
    wants = {"origin": ELSEWHERE, "access-control-request-method": "DELETE"}
    asked = Api(closed.api_url).ask("OPTIONS", "/sessions/x", headers=wants)
    assert asked.status == 200 and "DELETE" in asked.headers["access-control-allow-methods"]
    for origin in ["https://evil.example", "null", "https://dashboard.example.evil.example"]:
        said = api.ask("GET", "/sessions", headers={"origin": origin})
        assert (said.status, said.code) == (403, "host_not_allowed"), origin
    assert api.ask("GET", "/sessions", headers={"host": "evil.example"}).status == 403


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_listening_elsewhere_needs_a_token(tmp_path, check):
    command = [str(archon_bin()), "serve", "--host", "0.0.0.0", "--allowed-host", "mcp.example"]
    ports = ["--mcp-port", "0", "--server-port", "0", "--db", "memory"]
    refused = subprocess.run(
        [*command, *ports, *check], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == 1
    assert "ARCHON_API_TOKEN" in refused.stderr and "api.tokens" in refused.stderr


def test_with_a_token_it_listens_elsewhere(start_archon, tmp_path):
    toml = settings(tmp_path)
    gateway = start_archon(*toml, "--host", "0.0.0.0", "--allowed-host", "127.0.0.1")
    port = gateway.api_url.rsplit(":", 1)[1]
    api = Api(f"http://127.0.0.1:{port}")
    assert api.ask("GET", "/sessions").status == 401
    assert api.by(VIEWER).ask("GET", "/sessions").status == 200


def test_a_mistake_in_a_token_is_named_without_it(tmp_path):
    (tmp_path / "archon.toml").write_text(
        '[[api.tokens]]\nname = "tv"\nsha256 = "not-a-digest"\nrole = "viewer"\n'
    )
    refused = subprocess.run(
        [str(archon_bin()), "serve", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1 and "tv" in refused.stderr
    assert "not-a-digest" not in refused.stderr
