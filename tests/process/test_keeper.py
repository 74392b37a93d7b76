"""The MCP port stays open from the end of a gateway to the start of the next."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from command import archon
from harness import Archon, archon_bin, free_port, release_port, wait_for
from wire import LegacyClient, get_json

pytestmark = pytest.mark.timeout(180)


class Ports:
    """A gateway's arguments with ports that stay the same."""

    def __init__(self) -> None:
        self.mcp, self.api = free_port(), free_port()

    @property
    def args(self) -> list[str]:
        """For `archon serve`; they win over those before them."""
        return ["--mcp-port", str(self.mcp), "--server-port", str(self.api)]


@pytest.fixture
def ports():
    """Ports that are free again when the test is over."""
    ports = Ports()
    yield ports
    release_port(ports.mcp)


@pytest.fixture
def serve(processes, tmp_path, ports):
    """Starts a gateway on the fixed ports: `serve(*args, db=…, env=…)`."""

    class Fixed(Archon):
        def command(self) -> list[str]:
            command = super().command()
            for option, port in (("--mcp-port", ports.mcp), ("--server-port", ports.api)):
                command[command.index(option) + 1] = str(port)
            return command

    count = iter(range(10))

    def start(*args: str, upstream=None, db=None, env=None) -> Archon:
        directory = tmp_path / f"fixed-{next(count)}"
        gateway = Fixed(directory, *args, upstream=upstream, db=db, env=env)
        processes.started.append(gateway)
        return gateway

    return start


def is_open(port: int) -> bool:
    """Whether a connection is taken, by the kernel or by who listens."""
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        return True
    return False


def keepers(port: int) -> list[str]:
    """The keepers' names for a port that the kernel knows."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return [line for line in lines if line.endswith(f":{port}") and "archon-keeper" in line]


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_call_between_two_gateways_is_a_slow_one(start_fixture, serve, ports, ending):
    gateway = serve(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    assert client.text("count", key="calls") == "1"
    for number in range(2, 4):
        getattr(gateway, ending)()
        answers: list[str] = []
        calling = threading.Thread(target=lambda: answers.append(client.text("count", key="calls")))
        calling.start()
        wait_for("the call waits", lambda: waiting(ports.mcp))
        assert not answers
        gateway.restart()
        calling.join()
        assert answers == [str(number)]
    assert "(kept open since the last process)" in gateway.log()
    # Whoever asks the API is better told at once.
    gateway.stop()
    assert is_open(ports.mcp) and not is_open(ports.api)


def test_a_call_that_was_given_up_between_two_gateways_does_not_run(start_fixture, serve, ports):
    gateway = serve(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    assert client.text("count", key="calls") == "1"
    gateway.kill()
    body = client.body("tools/call", {"name": "count", "arguments": {"key": "calls"}})
    head = "".join(f"{name}: {value}\r\n" for name, value in client.headers().items())
    request = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {len(body)}\r\n\r\n"
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", ports.mcp)) as connection:
            connection.sendall(request.encode() + body)
    gateway.restart()
    assert client.text("count", key="calls") == "2"


def waiting(port: int) -> bool:
    """Whether a connection is in the kernel's queue of a port."""
    listening = f"0100007F:{port:04X} 00000000:0000 0A"
    for line in Path("/proc/net/tcp").read_text().splitlines():
        if listening in line:
            # The queue of a listening socket is its receive queue.
            return int(line.split()[4].partition(":")[2], 16) > 0
    return False


def test_a_port_that_nobody_comes_back_to_is_closed(serve, ports, config):
    gateway = serve(*config(server={"keep_port_seconds": 0.1}))
    assert keepers(ports.mcp)
    gateway.kill()
    wait_for("the port is closed", lambda: not is_open(ports.mcp))
    wait_for("the keeper is gone", lambda: not keepers(ports.mcp))


def test_who_wants_no_keeper_has_none(serve, ports, config):
    gateway = serve(*config(server={"keep_port_seconds": 0}))
    assert not keepers(ports.mcp)
    gateway.stop()
    assert not is_open(ports.mcp)


@pytest.mark.parametrize(
    "circumstances",
    [{"args": ["--node", "a"]}, {"env": {"NOTIFY_SOCKET": "/nowhere"}}],
)
def test_one_of_many_and_a_service_have_none(serve, ports, circumstances):
    gateway = serve(*circumstances.get("args", []), env=circumstances.get("env"))
    assert not keepers(ports.mcp)
    gateway.kill()
    assert not is_open(ports.mcp)


def test_one_of_many_has_one_if_that_is_said(serve, ports, config):
    serve("--node", "a", *config(server={"keep_port_seconds": 30}))
    assert keepers(ports.mcp)


def test_a_port_that_nobody_can_come_back_to_has_none(start_archon):
    assert not keepers(start_archon().port)


def test_a_keeper_has_nothing_of_its_gateway_but_the_socket(serve, ports):
    gateway = serve(env={"ARCHON_API_TOKEN": "not-for-a-keeper"})
    [keeper] = children(gateway.pid)
    wait_for("it runs by itself", lambda: os.readlink(f"/proc/{keeper}/cwd") == "/")
    assert os.getpgid(keeper) == keeper
    environ = Path(f"/proc/{keeper}/environ").read_bytes()
    assert b"not-for-a-keeper" not in environ and b"PATH" not in environ
    files = {os.readlink(fd) for fd in Path(f"/proc/{keeper}/fd").iterdir()}
    assert all(file.startswith(("socket:", "/dev/null")) for file in files), files



def children(pid: int) -> list[int]:
    """The processes that a process started and that are there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == pid and stat[0] != "Z":
                found.append(int(entry.name))
    return found


def test_signals_for_all_of_a_group_leave_the_keeper(serve, ports):
    gateway = serve()
    os.killpg(gateway.pid, signal.SIGINT)
    assert wait_for("it ends", lambda: not gateway.is_running)
    assert is_open(ports.mcp)
    gateway.restart()
    os.killpg(gateway.pid, signal.SIGKILL)
    wait_for("it ends", lambda: not gateway.is_running)
    assert is_open(ports.mcp)
    gateway.restart()
    assert get_json(f"http://127.0.0.1:{ports.mcp}/health")[0] == 200


def test_another_gateway_does_not_get_the_port_of_one_that_serves(serve, ports, tmp_path):
    first = serve()
    run = subprocess.run(
        [str(archon_bin()), "serve", *ports.args, "--db", str(tmp_path / "other.db")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1 and "another gateway uses it" in run.stderr
    assert LegacyClient.connect(first.url).call("find_projects").status == 200


def test_a_kept_port_is_a_good_one_and_another_address_of_it_is_given_up(serve, ports, tmp_path):
    gateway = serve()
    gateway.stop()
    said = archon("serve", "--check", *ports.args, "--db", "memory", cwd=tmp_path).stdout
    assert f"MCP port {ports.mcp} is kept for the next start" in said
    assert is_open(ports.mcp)
    everywhere = ["--host", "0.0.0.0", "--allowed-host", "*"]
    gateway.args = (*everywhere, *gateway.args)
    gateway.env["ARCHON_API_TOKEN"] = "a-token-of-an-operator-0123456789"
    gateway.start()
    assert "(kept open" not in gateway.log()
    assert get_json(f"http://127.0.0.1:{ports.mcp}/health")[0] == 200


def test_a_start_that_fails_leaves_the_port_to_the_next(serve, ports, tmp_path):
    gateway = serve()
    client = LegacyClient.connect(gateway.url)
    gateway.kill()
    (tmp_path / "broken.db").write_text("no database\n" * 500)
    run = subprocess.run(
        [str(archon_bin()), "serve", *ports.args, "--db", str(tmp_path / "broken.db")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1
    assert is_open(ports.mcp)
    gateway.restart()
    assert client.call("find_projects").session == client.session


def test_an_upgraded_gateway_is_kept_as_well(serve, ports):
    gateway = serve()
    client = LegacyClient.connect(gateway.url)
    for _ in range(2):
        archon("upgrade", "--db", str(gateway.db), cwd=gateway.directory)
    gateway.kill()
    new = int(Path(f"{gateway.db}.pid").read_text())
    assert new != gateway.pid
    os.kill(new, signal.SIGKILL)
    wait_for("it is gone", lambda: not Path(f"/proc/{new}").exists())
    assert is_open(ports.mcp)
    gateway.restart()
    assert client.call("find_projects").session == client.session


@pytest.fixture
def container(tmp_path, ports):
    """A gateway as process 1: `(process, log)`."""
    can = subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True)
    if can.returncode:
        pytest.skip("this user may not make a process namespace")
    log = tmp_path / "log.txt"
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", str(archon_bin())]
    command += ["serve", *ports.args, "--db", str(tmp_path / "archon.db")]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=file, stderr=file)
    try:
        wait_for("it serves", lambda: "MCP endpoint" in log.read_text())
        yield process, log
    finally:
        process.kill()
        process.wait()


def only_child(pid: int) -> int:
    """The one process that a process started."""
    return wait_for(f"the child of {pid}", lambda: children(pid)[0] if children(pid) else None)


def test_process_1_of_a_container_starts_the_gateway_again(container, ports):
    process, log = container
    client = LegacyClient.connect(f"http://127.0.0.1:{ports.mcp}/mcp")
    first = only_child(process.pid)
    gateway = only_child(first)
    for number in range(2, 4):
        os.kill(gateway, signal.SIGKILL)
        assert client.call("find_projects").session == client.session
        gateway = only_child(first)
        assert log.read_text().count("MCP endpoint") == number
    assert "was ended by signal 9; starting it again" in log.read_text()
    # An orphan is buried.
    assert all(
        Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        for pid in children(first)
    )
    # `unshare` does not pass signals on.
    os.kill(first, signal.SIGTERM)
    assert process.wait(60) == 0
    assert "leaving: no new connections" in log.read_text()
    assert not is_open(ports.mcp)


def test_process_1_of_a_container_outlives_an_upgrade_that_a_crash_interrupts(container, ports):
    process, log = container
    client = LegacyClient.connect(f"http://127.0.0.1:{ports.mcp}/mcp")
    first = only_child(process.pid)
    old = only_child(first)
    # Which it would pass on: that is of no use to anybody.
    os.kill(first, signal.SIGHUP)
    os.kill(first, signal.SIGUSR2)
    successor = only_child(old)
    os.kill(old, signal.SIGKILL)
    wait_for("the old one is buried", lambda: not Path(f"/proc/{old}").exists())
    for _ in range(3):
        assert client.call("find_projects").session == client.session
    assert process.poll() is None
    assert successor != old
    os.kill(first, signal.SIGTERM)
    assert process.wait(60) == 0


def test_process_1_of_a_container_outlives_an_upgrade(container, ports, tmp_path):
    process, log = container
    client = LegacyClient.connect(f"http://127.0.0.1:{ports.mcp}/mcp")
    first = only_child(process.pid)
    old = only_child(first)
    os.kill(old, signal.SIGUSR2)
    wait_for("it is replaced", lambda: "has taken over" in log.read_text())
    wait_for("the old one is gone", lambda: not Path(f"/proc/{old}").exists())
    new = only_child(first)
    assert new != old
    assert client.call("find_projects").session == client.session
    os.kill(new, signal.SIGKILL)
    assert client.call("find_projects").session == client.session
    os.kill(first, signal.SIGTERM)
    assert process.wait(60) == 0


def test_process_1_of_a_container_ends_as_the_gateway_does(container, ports, tmp_path):
    process, log = container
    other = subprocess.run(
        ["unshare", "--pid", "--fork", str(archon_bin()), "serve", "--mcp-port", str(free_port())]
        + ["--server-port", str(free_port()), "--db", str(tmp_path / "archon.db")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert other.returncode == 1 and "is in use by process" in other.stderr
    assert process.poll() is None
