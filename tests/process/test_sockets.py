"""The gateway takes over sockets that somebody else keeps, as under systemd's socket activation."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from activated import FIRST, activation, listening
from harness import archon_bin, wait_for
from wire import LegacyClient, get_json

pytestmark = pytest.mark.timeout(180)

# Of `fcntl.h`, in octal, as the kernel shows it in `/proc/…/fdinfo`.
CLOSED_ON_EXEC = 0o2000000


def port(kept: socket.socket) -> int:
    """Where it listens."""
    return kept.getsockname()[1]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("", ["mcp", "api"]),
        ("archon.socket:archon.socket", ["mcp", "api"]),
        ("mcp:api", ["mcp", "api"]),
        ("api:mcp", ["api", "mcp"]),
        ("", ["mcp"]),
        ("mcp", ["mcp"]),
        ("api", ["api"]),
    ],
)
def test_names_choose_and_without_names_the_order_does(start_activated, names, order):
    with listening() as first, listening() as second:
        kept = dict(zip(order, [first, second], strict=False))
        gateway = start_activated(*kept.values(), names=names)

        # Both are configured as 0, so that one which was not inherited is a new one.
        ports = {"mcp": gateway.port, "api": int(gateway.api_url.rpartition(":")[2])}
        assert {name: ports[name] for name in kept} == {n: port(s) for n, s in kept.items()}
        assert gateway.log().count("(inherited socket)") == len(kept)
        assert get_json(f"http://127.0.0.1:{ports['mcp']}/health")[1]["success"]
        assert get_json(f"http://127.0.0.1:{ports['api']}/health")[1]["service"] == "mcp"


def test_a_socket_of_the_other_family_is_as_good(start_activated):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listening(socket.AF_INET6, "::1") as kept:
        gateway = start_activated(kept)
        assert gateway.url == f"http://[::1]:{port(kept)}/mcp"
        assert get_json(f"http://[::1]:{port(kept)}/health")[0] == 200


def test_sockets_for_another_process_are_not_taken(start_archon):
    gateway = start_archon(env={"LISTEN_FDS": "2", "LISTEN_PID": "1", "LISTEN_FDNAMES": "mcp:api"})
    assert "(inherited socket)" not in gateway.log()
    assert get_json(f"http://127.0.0.1:{gateway.port}/health")[0] == 200


def test_no_child_inherits_a_socket(start_activated):
    with listening() as first, listening() as second:
        gateway = start_activated(first, second)
        process = Path(f"/proc/{gateway.pid}")
        sockets = [
            fd.name for fd in (process / "fd").iterdir() if os.readlink(fd).startswith("socket:")
        ]
        assert {"3", "4"} <= set(sockets)
        for descriptor in sockets:
            info = (process / "fdinfo" / descriptor).read_text()
            flags = next(line for line in info.splitlines() if line.startswith("flags:"))
            assert int(flags.split()[1], 8) & CLOSED_ON_EXEC, f"descriptor {descriptor}"


def refused(directory: Path, sockets: list[socket.socket], env: Mapping[str, str]) -> str:
    """What a gateway says that does not start on these."""
    run = subprocess.run(
        [str(archon_bin()), "serve", "--db", "memory", "--mcp-port", "0", "--server-port", "0"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        **activation(sockets, **env),
    )
    assert run.returncode == 1, run.stderr
    return run.stderr


def test_what_is_no_listening_tcp_socket_is_refused_clearly(tmp_path):
    complaint = "the inherited descriptor 3 is not a listening TCP socket"
    with socket.socket() as silent, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        silent.bind(("127.0.0.1", 0))
        datagrams.bind(("127.0.0.1", 0))
        assert complaint in refused(tmp_path, [silent], {})
        assert complaint in refused(tmp_path, [datagrams], {})
    with socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "s"))
        local.listen()
        assert complaint in refused(tmp_path, [local], {})


def test_sockets_without_a_use_are_refused_clearly(tmp_path):
    with listening() as kept:
        said = refused(tmp_path, [kept, kept, kept], {})
        assert "3 sockets were inherited without names" in said
        said = refused(tmp_path, [kept, kept], {"LISTEN_FDNAMES": "mcp:metrics"})
        assert "a socket was inherited as `metrics`" in said


class Caller(threading.Thread):
    """Opens a connection for each of its requests, and notes how each ended."""

    def __init__(self, port: int):
        super().__init__()
        self.port = port
        self.is_over = threading.Event()
        self.answered, self.broken, self.refused = 0, 0, 0

    def run(self) -> None:
        """Asks until it is told to stop."""
        while not self.is_over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.request("GET", "/health")
                assert connection.getresponse().status == 200
                self.answered += 1
            except ConnectionRefusedError:
                self.refused += 1
            except (ConnectionError, http.client.HTTPException):
                # Accepted by the process that was killed.
                self.broken += 1
            finally:
                connection.close()


def test_no_connection_is_refused_while_the_process_is_replaced(start_activated):
    with listening() as first, listening() as second:
        gateway = start_activated(first, second)
        client = LegacyClient.connect(gateway.url)
        callers = [Caller(port(first)) for _ in range(4)] + [Caller(port(second))]
        for caller in callers:
            caller.start()
        try:
            for _ in range(3):
                gateway.kill()
                gateway.restart()
                before = [caller.answered for caller in callers]
                # Two, since one may have been under way.
                wait_for(
                    "all callers are answered again",
                    lambda before=before: all(
                        caller.answered > n + 1
                        for caller, n in zip(callers, before, strict=True)
                    ),
                )
        finally:
            for caller in callers:
                caller.is_over.set()
            for caller in callers:
                caller.join()
        assert [caller.refused for caller in callers] == [0] * len(callers)
        # A kill breaks what was accepted, and that is one connection of each caller.
        assert all(caller.broken <= 3 for caller in callers)
        assert client.call("find_projects").session == client.session


def test_nothing_is_accepted_before_recovery_is_over(start_activated):
    with listening() as kept:
        gateway = start_activated(kept)
        client = LegacyClient.connect(gateway.url)
        gateway.kill()
        # It waits in the backlog of a port that nobody serves, with its request on the way.
        parts = http.client.HTTPConnection("127.0.0.1", port(kept), timeout=60)
        body = client.body("tools/call", {"name": "find_projects", "arguments": {}})
        parts.request("POST", "/mcp", body, client.headers())
        gateway.restart()
        answer = parts.getresponse()
        assert answer.status == 200
        assert answer.headers["x-archon-session-id"] == client.session
        parts.close()
