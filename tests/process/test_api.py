"""Every resource of the API, on a gateway with some traffic behind it, on each database."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from api import Api
from harness import Archon, Processes, wait_for
from postgres import Postgres
from wire import LegacyClient, ModernClient, get_json

pytestmark = pytest.mark.timeout(180)

UNKNOWN = str(uuid.UUID(int=7, version=4))


@dataclass
class Busy:
    """A gateway that three clients used: one is there, one is modern, one has left."""

    gateway: Archon
    api: Api
    present: LegacyClient
    modern: str
    left: LegacyClient


# What the clients did: initialize, five calls of tools, of which two failed and one was not answered in time.
REQUESTS = {"present": 7, "modern": 1, "left": 1}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def busy(request, tmp_path_factory) -> Iterator[Busy]:
    """One for each database; tests leave it as it is."""
    with Processes(tmp_path_factory.mktemp("busy")) as processes:
        env, db = {}, None
        if request.param == "postgres":
            server: Postgres = request.getfixturevalue("postgres_server")
            server.new_database()
            env = {"DATABASE_URL": server.url}
        upstream = processes.start_fixture()
        settings = processes.directory / "archon.toml"
        settings.write_text("[sessions]\ncall_timeout_seconds = 1\n")
        gateway = processes.start_archon(
            "--config", str(settings), upstream=upstream, env=env, db=db
        )
        yield _use(gateway)
        assert "panicked at" not in gateway.log()


def _use(gateway: Archon) -> Busy:
    api = Api(gateway.api_url)
    present = LegacyClient.connect(gateway.url, name="claude-code")
    present.request("tools/list")
    for text in ["one", "two"]:
        assert present.text("echo", text=text) == text
    for _ in range(2):
        assert present.call("fail", {"message": "no such thing"}).result["isError"]
    assert present.call("sleep", {"ms": 20_000}).error
    modern = ModernClient(gateway.url, name="my_agent 100%").call("echo", {"text": "hi"})
    left = LegacyClient.connect(gateway.url, name="cursor-vscode")
    assert left.end().status == 200
    busy = Busy(gateway, api, present, modern.session, left)

    def is_written() -> bool:
        found = api.get("/logs")["pagination"]["total"]
        return found == sum(REQUESTS.values())

    wait_for("the rows are written", is_written, 30)
    return busy


def is_moment(text: str) -> bool:
    """Whether a text is a time as the contract has it: RFC 3339 in UTC with Z."""
    return text.endswith("Z") and bool(datetime.datetime.fromisoformat(text))


@pytest.mark.parametrize("path", ["//health", "//api/health", "/health"])
def test_health_says_that_the_service_is_well(busy, path):
    assert busy.api.get(path) == {"status": "healthy", "service": "mcp"}


def test_status_names_the_upstreams(busy):
    status = busy.api.get("/status")
    assert status["status"] == "running" and status["uptime"] >= 0
    assert isinstance(status["logs"], list)
    assert status["upstreams"]["fixture"]["status"] == "up"
    assert status["store"]["status"] == "healthy"


def test_config_holds_no_secret(busy):
    config = busy.api.get("/config")
    assert config["host"] == "127.0.0.1" and config["port"] == busy.gateway.port
    assert config["transport"] == "streamable-http"
    assert "s3cret" not in json.dumps(config)


def test_clients_are_those_who_are_here(busy):
    listed = busy.api.get("/clients")
    assert listed["total"] == 2
    by_id = {client["session_id"]: client for client in listed["clients"]}
    assert by_id.keys() == {busy.present.session, busy.modern}
    client = by_id[busy.present.session]
    assert client["client_type"] == "Claude Code" and client["client_version"] == "1.0"
    assert is_moment(client["last_activity"])
    active = busy.api.get("/clients?status_filter=active")
    idle = busy.api.get("/clients?status_filter=idle")
    assert active["total"] + idle["total"] == busy.api.get("/clients?status_filter=all")["total"]


def test_sessions_are_listed_with_all_that_the_contract_names(busy):
    listed = busy.api.get("/sessions")
    assert listed["total"] == 3 and listed["active_sessions"] == 2
    assert listed["session_timeout"] == 300 and listed["server_uptime_seconds"] >= 0
    assert listed["next_cursor"] is None
    session = next(s for s in listed["sessions"] if s["session_id"] == busy.left.session)
    assert session["client_type"] == "Cursor" and session["status"] == "disconnected"
    assert session["disconnect_reason"] == "client_disconnect"
    assert is_moment(session["connected_at"]) and is_moment(session["disconnected_at"])
    assert session["total_duration"] >= 0 and session["client_capabilities"] == {}
    assert session["reconnect_count"] == 0 and session["user_id"] is None
    assert "reconnect_token_hash" not in session


USED = [
    "total_requests",
    "total_errors",
    "total_prompt_tokens",
    "total_completion_tokens",
    "total_cost",
    "upstreams",
]


@pytest.mark.parametrize(
    "path", ["/sessions", "/clients", "/sessions/disconnected", "/sessions?status=active&sort=connected_at"]
)
def test_lists_say_what_each_session_used(busy, path):
    listed = busy.api.get(path)
    rows = listed.get("sessions", listed.get("clients"))
    assert rows
    for row in rows:
        page = busy.api.get(f"/sessions/{row['session_id']}")
        whole = {**page["summary"], "upstreams": page["upstreams"]}
        assert {name: row[name] for name in USED} == {name: whole[name] for name in USED}
        assert row["total_requests"] > 0 and row["upstreams"] == ["fixture"]
        if row["session_id"] == busy.present.session:
            assert (row["total_requests"], row["total_errors"]) == (REQUESTS["present"], 3)
            assert row["total_prompt_tokens"] > 0 and row["total_cost"] > 0


@pytest.mark.parametrize(
    ("query", "who"),
    [
        ("status=active", {"present", "modern"}),
        ("status=disconnected", {"left"}),
        ("status=all", {"present", "modern", "left"}),
        ("client_type=Cursor", {"left"}),
        ("client_type=cursor", set()),
        ("client_type=", {"present", "modern", "left"}),
        ("q=CLAUDE", {"present"}),
        ("q=100%25", {"modern"}),
        ("q=my_agent", {"modern"}),
        ("q=my%25agent", set()),
        ("q=%27;%20DROP%20TABLE%20archon_mcp_sessions;--", set()),
        ("q=%00", set()),
        ("user_id=nobody", set()),
    ],
)
def test_sessions_are_filtered(busy, query, who):
    ids = {"present": busy.present.session, "modern": busy.modern, "left": busy.left.session}
    found = busy.api.get(f"/sessions?{query}")
    assert {session["session_id"] for session in found["sessions"]} == {ids[name] for name in who}
    assert found["total"] == len(who)


SORTS = {
    "last_activity": lambda session: session["last_activity"],
    "connected_at": lambda session: session["connected_at"],
    "total_requests": lambda session: session["total_requests"],
    "total_errors": lambda session: session["total_errors"],
    "total_cost": lambda session: session["total_cost"],
    # It came first and waited for a second; how the others compare is a matter of moments.
    "duration": lambda session: session["client_type"] == "Claude Code",
    "client_type": lambda session: session["client_type"].lower(),
}


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("order", ["desc", "asc"])
def test_sessions_come_in_pages_and_in_order(busy, sort, order):
    seen, cursor = [], ""
    while True:
        page = busy.api.get(f"/sessions?sort={sort}&order={order}&limit=1{cursor}")
        seen += page["sessions"]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len({session["session_id"] for session in seen}) == 3 == len(seen)
    keys = [SORTS[sort](session) for session in seen]
    assert keys == sorted(keys, reverse=order == "desc")


def test_a_cursor_is_good_for_its_own_list_only(busy):
    cursor = busy.api.get("/sessions?sort=connected_at&limit=1")["next_cursor"]
    said = busy.api.ask("GET", f"/sessions?sort=last_activity&cursor={cursor}")
    assert (said.status, said.code) == (409, "cursor_of_another_list")


def test_sessions_health_is_what_the_contract_shows(busy):
    health = busy.api.get("/sessions/health")
    assert health["status_breakdown"] == {"active": 2, "disconnected": 1, "total": 3}
    assert health["age_distribution"] == {"healthy": 2, "aging": 0, "stale": 0}
    connection = health["connection_health"]
    assert connection["total_sessions_24h"] == 3
    assert connection["sessions_per_hour"] == 0.13  # 3 / 24
    assert connection["disconnect_rate_percent"] == 33.3
    assert connection["avg_duration_seconds"] >= 0
    assert {one["session_id"] for one in health["recent_activity"]} == {
        busy.present.session,
        busy.modern,
        busy.left.session,
    }
    for one in health["recent_activity"]:
        assert one["age_minutes"] >= 0 and one["uptime_minutes"] >= 0
        assert one["status"] in {"active", "disconnected"}
    assert is_moment(health["timestamp"])


def test_disconnected_sessions_are_listed_with_their_reasons(busy):
    said = busy.api.get("/sessions/disconnected?days=7&limit=50")
    assert [session["session_id"] for session in said["sessions"]] == [busy.left.session]
    assert said["sessions"][0]["total_requests"] == REQUESTS["left"]
    statistics = said["statistics"]
    assert statistics["total_disconnected"] == 1
    assert statistics["disconnect_reasons"] == {"client_disconnect": 1}
    duration = statistics["avg_duration_seconds"]
    assert statistics["max_duration_seconds"] == duration == statistics["min_duration_seconds"]
    assert said["period"]["days"] == 7 and is_moment(said["period"]["start_date"])


def test_a_session_is_shown_with_its_requests(busy):
    page = busy.api.get(f"/sessions/{busy.present.session}")
    assert page["session"]["session_id"] == busy.present.session
    assert page["continues"] is None and page["continued_by"] is None
    assert page["chain"] == {"before": [], "after": []} and page["reconnect_attempts"] == []
    assert len(page["requests"]) == REQUESTS["present"]
    summary = page["summary"]
    assert summary["total_requests"] == REQUESTS["present"] and summary["total_errors"] == 3
    prompt, completion = summary["total_prompt_tokens"], summary["total_completion_tokens"]
    assert summary["total_tokens"] == prompt + completion > 0 and summary["total_cost"] > 0
    costs = sum(request["estimated_cost"] for request in page["requests"])
    assert summary["total_cost"] == pytest.approx(costs, abs=1e-5)
    last = page["requests"][0]
    assert last["tool_name"] == "sleep" and last["status"] == "timeout"
    assert last["duration_ms"] >= 1000 and is_moment(last["timestamp"])


def test_the_requests_of_a_session_come_in_pages(busy):
    path = f"/sessions/{busy.present.session}?limit=4"
    first = busy.api.get(path)
    second = busy.api.get(f"{path}&cursor={first['next_cursor']}")
    ids = [request["id"] for request in first["requests"] + second["requests"]]
    assert len(set(ids)) == len(ids) == REQUESTS["present"] and second["next_cursor"] is None


def test_usage_is_summed_by_tool_client_and_user(busy):
    usage = busy.api.get("/usage/summary?days=2")
    summary = usage["summary"]
    assert summary["total_requests"] == sum(REQUESTS.values())
    assert summary["unique_sessions"] == 3
    assert summary["total_tokens"] > 0 and summary["total_cost"] > 0
    assert {tool: use["count"] for tool, use in usage["by_tool"].items()} == {
        "echo": 3,
        "fail": 2,
        "sleep": 1,
    }
    clients = {client: use["count"] for client, use in usage["by_client"].items()}
    assert clients == {"Claude Code": 7, "my_agent 100%": 1, "Cursor": 1}
    assert usage["by_user"]["anonymous"]["count"] == sum(REQUESTS.values())
    today = datetime.datetime.now(datetime.UTC).date()
    since = today - datetime.timedelta(days=1)
    again = busy.api.get(f"/usage/summary?start_date={since}&end_date={today}")
    assert again["summary"]["total_requests"] == sum(REQUESTS.values())
    before = busy.api.get("/usage/summary?start_date=2020-01-01&end_date=2020-01-31")
    assert before["summary"]["total_requests"] == 0 and before["period"]["days"] == 31
    failed = {tool: (use["errors"], use["timeouts"]) for tool, use in usage["by_tool"].items()}
    assert failed == {"echo": (0, 0), "fail": (2, 0), "sleep": (0, 1)}
    by_client = usage["by_client"]["Claude Code"]
    assert (by_client["errors"], by_client["timeouts"]) == (2, 1)


def test_requests_are_counted_by_the_minute(busy):
    minutes = busy.api.get("/usage/minutes")["minutes"]
    assert len(minutes) == 60
    starts = [datetime.datetime.fromisoformat(one["minute"]) for one in minutes]
    assert all(start.second == 0 for start in starts)
    steps = {later - earlier for earlier, later in zip(starts, starts[1:], strict=False)}
    assert steps == {datetime.timedelta(minutes=1)}
    assert datetime.datetime.now(datetime.UTC) - starts[-1] < datetime.timedelta(minutes=2)
    assert [sum(one[what] for one in minutes) for what in ["requests", "errors", "timeouts"]] == [
        sum(REQUESTS.values()),
        2,
        1,
    ]
    assert len(busy.api.get("/usage/minutes?minutes=1440")["minutes"]) == 1440


def test_errors_are_listed_by_severity(busy):
    said = busy.api.get("/errors")
    assert said["total"] == 3 == len(said["errors"])
    assert said["errors"][0]["status"] == "timeout"
    summary = said["summary"]
    assert (summary["error_count"], summary["timeout_count"]) == (2, 1)
    assert summary["error_rate_percent"] == round(300 / sum(REQUESTS.values()), 2)
    assert is_moment(summary["last_error_at"])
    errors = busy.api.get("/errors?severity=error&limit=1")
    assert errors["total"] == 2 and "no such thing" in errors["errors"][0]["error_message"]
    assert busy.api.get("/errors?severity=timeout")["total"] == 1
    assert busy.api.get(f"/errors?session_id={busy.present.session}")["total"] == 3
    none = busy.api.get(f"/errors?session_id={busy.left.session}")
    assert none["total"] == 0 and none["summary"]["error_count"] == 0


def test_analytics_show_trends_ratios_and_response_times(busy):
    said = busy.api.get("/analytics?days=2&compare=true")
    total = sum(REQUESTS.values())
    assert sum(day["requests"] for day in said["trends"]["daily"]) == total
    assert len(said["trends"]["daily"]) == 2 and len(said["trends"]["hourly"]) == 24
    assert sum(hour["requests"] for hour in said["trends"]["hourly"]) == total
    rate = round(100 * (total - 3) / total, 2)
    assert said["ratios"] == {"success": total - 3, "error": 2, "timeout": 1, "success_rate": rate}
    tools = {tool["tool"]: tool for tool in said["response_times"]["by_tool"]}
    assert tools.keys() == {"echo", "fail", "sleep"}
    failed = ["count", "errors", "timeouts", "error_rate_percent"]
    assert {name: [tool[field] for field in failed] for name, tool in tools.items()} == {
        "echo": [3, 0, 0, 0.0],
        "fail": [2, 2, 0, 100.0],
        "sleep": [1, 0, 1, 100.0],
    }
    assert tools["sleep"]["max_ms"] >= 1000
    assert tools["sleep"]["p50"] == tools["sleep"]["p99"] == 0, "it was never answered"
    assert {tool["upstream"] for tool in tools.values()} == {"fixture"}
    assert tools["echo"]["min_ms"] <= tools["echo"]["avg_ms"] <= tools["echo"]["max_ms"]
    assert said["response_times"]["p50"] <= said["response_times"]["p99"]
    requests = said["comparison"]["requests"]
    assert requests == {"current": total, "previous": 0, "change_percent": None}
    assert busy.api.get("/analytics?compare=false")["comparison"] is None


def test_analytics_are_of_the_days_that_are_asked_for(busy):
    total = sum(REQUESTS.values())
    today = datetime.datetime.now(datetime.UTC).date()
    day = datetime.timedelta(days=1)
    since = busy.api.get(f"/analytics?start_date={today - 2 * day}")
    assert since["period"]["days"] == 3 == len(since["trends"]["daily"])
    assert since["period"]["start_date"] == f"{today - 2 * day}T00:00:00.000000Z"
    assert sum(of["requests"] for of in since["trends"]["daily"]) == total
    before = busy.api.get(f"/analytics?start_date={today - 9 * day}&end_date={today - 2 * day}")
    assert [of["requests"] for of in before["trends"]["daily"]] == [0] * 8
    assert before["trends"]["daily"][0]["date"] == str(today - 9 * day)
    assert before["response_times"]["by_tool"] == []
    after = busy.api.get(f"/analytics?start_date={today + 2 * day}&end_date={today + 3 * day}")
    assert after["comparison"]["requests"]["previous"] == total and after["ratios"]["success"] == 0


def test_logs_are_searched_and_paged(busy):
    whole = busy.api.get("/logs")
    assert whole["pagination"]["total"] == sum(REQUESTS.values())
    assert whole["pagination"]["limit"] == 100 and not whole["pagination"]["has_more"]
    by_level = {"info": sum(REQUESTS.values()) - 3, "warning": 1, "error": 2}
    for level, count in by_level.items():
        logs = busy.api.get(f"/logs?level={level}")["logs"]
        assert len(logs) == count and {line["level"] for line in logs} == {level}
    found = busy.api.get("/logs?search=NO%20SUCH%20thing")
    assert found["pagination"]["total"] == 2
    assert all("no such thing" in line["message"] for line in found["logs"])
    assert busy.api.get("/logs?search=no%25thing")["logs"] == []
    page = busy.api.get("/logs?limit=2&offset=1")
    assert [line["id"] for line in page["logs"]] == [line["id"] for line in whole["logs"][1:3]]
    assert page["pagination"]["has_more"] and page["pagination"]["offset"] == 1
    own = busy.api.get(f"/logs?session_id={busy.modern}")["logs"]
    assert [line["session_id"] for line in own] == [busy.modern]


def test_prices_are_listed_and_set(busy):
    before = busy.api.get("/pricing")
    assert before["total"] == len(before["pricing"]) and before["note"]
    price = {
        "provider": "test",
        "model_name": "ünïcode'; --",
        "input_price_per_1k": 0.25,
        "output_price_per_1k": 1.5,
        "effective_date": "2026-01-11",
    }
    for dollars in [0.5, 0.25]:  # the second replaces the first
        price["input_price_per_1k"] = dollars
        assert busy.api.ask("PUT", "/pricing", {"pricing": [price]}).status == 200
    after = busy.api.get("/pricing")
    price |= {"input_price_per_million": 250, "output_price_per_million": 1500}
    assert after["total"] == before["total"] + 1 and price in after["pricing"]
    # What was answered can be sent back, and either unit does.
    del price["input_price_per_1k"], price["output_price_per_million"]
    for prices in [after["pricing"], [price]]:
        said = busy.api.ask("PUT", "/pricing", {"pricing": prices})
        assert said.status == 200 and busy.api.get("/pricing") == after


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", ""),
        ("model_name", "a\u0000b"),
        ("input_price_per_1k", -1),
        ("output_price_per_1k", 1e9),
        ("input_price_per_1k", None),
        ("effective_date", "2026-02-30"),
        ("effective_date", "yesterday"),
        ("surprise", 1),
    ],
)
def test_a_wrong_price_is_named_and_none_is_set(busy, field, value):
    before = busy.api.get("/pricing")
    price = {"provider": "p", "model_name": "m", "input_price_per_1k": 1, "output_price_per_1k": 1}
    said = busy.api.ask("PUT", "/pricing", {"pricing": [price, {**price, field: value}]})
    assert (said.status, said.code) == (422, "invalid_body") and field in said.json["detail"]
    assert busy.api.get("/pricing") == before


def test_the_description_is_served_as_it_is_committed(busy):
    from harness import ROOT

    committed = json.loads((ROOT / "crates/archon-server/openapi.json").read_text())
    assert busy.api.get("/openapi.json") == committed


def test_the_documentation_comes_from_this_server_alone(busy):
    page = busy.api.ask("GET", "//docs/")
    assert page.status == 200 and b"http" not in page.body.replace(b"http-equiv", b"")
    assert "unsafe-eval" not in page.headers["content-security-policy"]
    for name, kind in [
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
        ("start.js", "text/javascript"),
    ]:
        said = busy.api.ask("GET", f"//docs/{name}")
        assert said.status == 200 and said.headers["content-type"].startswith(kind), name
    assert busy.api.ask("GET", "//docs").headers["location"] == "/docs/"
    assert busy.api.ask("GET", "//docs/no-such-file").code == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/no/such/thing", 404, "not_found"),
        ("GET", "//nothing", 404, "not_found"),
        ("GET", f"/sessions/{UNKNOWN}", 404, "session_not_found"),
        ("DELETE", f"/sessions/{UNKNOWN}", 404, "session_not_found"),
        ("POST", f"/sessions/{UNKNOWN}/heartbeat", 404, "session_not_found"),
        ("GET", f"/sessions/{UNKNOWN}/token", 404, "session_not_found"),
        ("GET", "/sessions/nonsense", 422, "invalid_parameter"),
        ("GET", "/sessions?limit=0", 422, "invalid_parameter"),
        ("GET", "/sessions?cursor=", 422, "invalid_parameter"),
        ("GET", "/logs?cursor=nonsense", 422, "invalid_parameter"),
        ("GET", "/sessions?limit=1001", 422, "invalid_parameter"),
        ("GET", "/sessions?limit=ten", 422, "invalid_parameter"),
        ("GET", "/sessions?status=gone", 422, "invalid_parameter"),
        ("GET", "/sessions?limt=1", 422, "invalid_parameter"),
        ("GET", "/sessions?limit=1&limit=2", 422, "invalid_parameter"),
        ("GET", "/sessions?q=" + 201 * "x", 422, "invalid_parameter"),
        ("GET", "/sessions?q=" + 20_000 * "x", 422, "invalid_parameter"),
        ("GET", "/sessions/health?verbose=1", 422, "invalid_parameter"),
        ("GET", "/errors?severity=fatal", 422, "invalid_parameter"),
        ("GET", "/errors?session_id=1", 422, "invalid_parameter"),
        ("GET", "/usage/summary?start_date=2026-13-01", 422, "invalid_parameter"),
        ("GET", "/usage/summary?start_date=2026-01-02&end_date=2026-01-01", 422, "invalid_parameter"),
        ("GET", "/analytics?start_date=9999-01-01", 422, "invalid_parameter"),
        ("GET", "/analytics?end_date=today", 422, "invalid_parameter"),
        ("GET", "/usage/minutes?minutes=1441", 422, "invalid_parameter"),
        ("GET", "/analytics?days=0", 422, "invalid_parameter"),
        ("GET", "/analytics?compare=maybe", 422, "invalid_parameter"),
        ("GET", "/logs?offset=-1", 422, "invalid_parameter"),
        ("GET", "/logs?level=loud", 422, "invalid_parameter"),
        ("PATCH", "/sessions", 405, "method_not_allowed"),
        ("DELETE", "/pricing", 405, "method_not_allowed"),
        ("GET", f"/sessions/{UNKNOWN}/reconnect", 405, "method_not_allowed"),
    ],
)
def test_what_is_wrong_is_said_in_one_form(busy, method, path, status, code):
    said = busy.api.ask(method, path)
    assert (said.status, said.code) == (status, code)
    if status == 405:
        assert said.headers["allow"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {"content-type": "application/json"}, 400, "malformed_json"),
        (b"\xff\xfe", {"content-type": "application/json"}, 400, "malformed_json"),
        (b"{}", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (b"{}", {}, 415, "unsupported_media_type"),
        (b"{}", {"content-type": "application/json"}, 422, "invalid_body"),
        (b'{"token": 7}', {"content-type": "application/json"}, 422, "invalid_body"),
        (b'{"token": "x", "y": 1}', {"content-type": "application/json"}, 422, "invalid_body"),
        (b"[" * 200_000, {"content-type": "application/json"}, 422, "invalid_body"),
        (b" " * 300_000, {"content-type": "application/json"}, 413, "body_too_large"),
    ],
)
def test_a_wrong_body_is_said_in_the_same_form(busy, body, headers, status, code):
    said = busy.api.ask("POST", f"/sessions/{UNKNOWN}/reconnect", body, headers)
    assert (said.status, said.code) == (status, code)


def test_answers_protect_browsers(busy):
    said = busy.api.ask("GET", "/sessions")
    assert said.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in said.headers["content-security-policy"]
    assert said.headers["referrer-policy"] == "no-referrer"
    assert said.headers["cache-control"] == "no-store"
    assert said.headers.get("access-control-allow-origin") is None


def test_the_endpoint_for_clients_has_a_health_of_its_own(busy):
    status, health = get_json(busy.gateway.url.removesuffix("/mcp") + "/health")
    assert (status, health["status"]) == (200, "healthy")
