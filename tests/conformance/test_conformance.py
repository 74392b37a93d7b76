"""A server behind the gateway conforms exactly as it does alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import suite
from harness import Processes, fixture_command

# The suite holds some of its checks to half a second, so few run at once.
WORKERS = 2

# How many checks of each version the fixture passes; the rest are listed below. A count that
# changes means that the suite or the fixture did.
PASSED = {"2025-03-26": 3, "2025-06-18": 56, "2025-11-25": 84, "2026-07-28": 197, "skills": 45}

NOT_PASSED = {
    "2026-07-28": [
        # The suite has this scenario and does not run it.
        "tasks-status-notifications: TasksStatusNotificationsScenario",
    ],
}

pytestmark = pytest.mark.timeout(900)


class Suites:
    """The runs that the selected tests need, a few at a time."""

    def __init__(self, directory, pool: ThreadPoolExecutor, tests):
        self.directory = directory
        alone = {test.callspec.params["version"] for test in tests}

        def through(word: str) -> set[str]:
            return {test.callspec.params["version"] for test in tests if word in test.name}

        self.direct = {v: pool.submit(self._direct, v) for v in suite.RUNS if v in alone}
        self.gateway = {
            v: pool.submit(self._gateway, v) for v in suite.RUNS if v in through("gateway")
        }
        self.stdio = {v: pool.submit(self._stdio, v) for v in suite.RUNS if v in through("stdio")}

    def _direct(self, version: str) -> suite.Checks:
        directory = self.directory / version / "direct"
        with Processes(directory) as processes:
            return suite.run(processes.start_fixture().url, version, directory)

    def _gateway(self, version: str) -> suite.Checks:
        directory = self.directory / version / "gateway"
        with Processes(directory) as processes:
            # This upstream accepts any Host and Origin, so the gateway has to check them.
            upstream = processes.start_fixture("--any-host")
            gateway = processes.start_archon(upstream=upstream)
            return suite.run(gateway.url, version, directory)

    def _stdio(self, version: str) -> suite.Checks:
        directory = self.directory / version / "stdio"
        with Processes(directory) as processes:
            gateway = processes.start_archon(upstream=fixture_command())
            return suite.run(gateway.url, version, directory)


@pytest.fixture(scope="module")
def suites(request, tmp_path_factory):
    tests = [test for test in request.session.items if "suites" in test.fixturenames]
    pool = ThreadPoolExecutor(WORKERS)
    try:
        yield Suites(tmp_path_factory.mktemp("conformance"), pool, tests)
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("version", suite.RUNS)
def test_the_fixture_conforms(suites, version):
    checks = suites.direct[version].result()

    failures = suite.failures(checks)
    unexpected = [f for f in failures if not f.startswith(tuple(NOT_PASSED.get(version, ())))]
    assert not unexpected, "\n" + "\n".join(unexpected)
    assert len(failures) == len(NOT_PASSED.get(version, ()))
    assert len(checks) - len(failures) == PASSED[version]


@pytest.mark.parametrize("version", suite.RUNS)
def test_the_gateway_changes_nothing(suites, version):
    direct, gateway = suites.direct[version].result(), suites.gateway[version].result()

    differences = suite.differences(direct, gateway)

    where = suites.directory / version / "gateway"
    assert not differences, "\n" + "\n".join([*differences, f"details in {where}"])


@pytest.mark.parametrize("version", suite.RUNS)
def test_a_server_on_stdio_conforms_as_over_http(suites, version):
    direct, stdio = suites.direct[version].result(), suites.stdio[version].result()

    differences = suite.differences(direct, stdio, suite.ON_STDIO)

    where = suites.directory / version / "stdio"
    assert not differences, "\n" + "\n".join([*differences, f"details in {where}"])
