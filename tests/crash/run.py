"""One run: starts everything, lets clients work while processes are killed, and reads the books."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from crash import cluster
from crash.books import Books, ClientBook, DatabaseBook, Kill, read_database, read_journal
from crash.compare import compare
from crash.gateway import HeldArchon, HeldSockets, StdioUpstream
from crash.legacy_client import Legacy
from crash.library_client import Library
from crash.modern_client import Modern
from crash.pauses import IDLE_S, REAP_S, Pauses
from crash.raw import TOOLS
from crash.schedule import AWAY_S, UPSTREAM, VICTIMS, Choices, Victim, carry_out, schedule
from crash.sessions import is_compared
from crash.violations import GATEWAY, RELAXED_S, Promise, Violation
from harness import Archon, Fixture, Processes, Upstream, fixture_command, wait_for
from nginx import in_front_of

CONFIG_FILE = "archon.toml"
# A session outlives the longest run, so that each that ends was ended by its client.
CONFIG = "[sessions]\nidle_timeout_seconds = 86400\n"
# Where clients pause, their sessions end by that, and what servers hold stays.
IMPATIENT = f"[sessions]\nidle_timeout_seconds = {IDLE_S}\nreap_every_seconds = {REAP_S}\n"
STRICT = '[store]\ndurability = "strict"\n'

# Calls of one client before another takes its place: clients come and go while things break.
CALLS = (10, 60)
# What clients need after the last kill, at the very most, to finish what they are at.
FINISH_S = 180
# What clients need for the calls that are waited for between two blows, at the very most.
WORK_S = 120
# Of calls that can be resumed, where networks go dark.
DARK_SHARE = 0.3
# Of clients: legacy, modern, and those of the library.
KINDS = 3
# So many pauses are waited for that met no kill.
PAUSES = 8


@dataclass(frozen=True)
class Plan:
    """What to run."""

    seed: int
    kills: int
    clients: int
    durability: str = "relaxed"
    pause_s: tuple[float, float] = (0.2, 1.5)
    is_stdio: bool = False
    mcp_port: int = 0  # for a gateway that takes no sockets over
    calls_between: int = 0  # two blows, at least: a run in which nothing happens proves nothing
    relaxed_s: float = RELAXED_S
    is_behind_nginx: bool = False
    has_dark_networks: bool = False  # clients lose theirs without a word, and resume on another
    has_pauses: bool = False  # clients fall silent for longer than the idle timeout
    is_legacy_only: bool = False  # the upstream; modern clients cross a bridge
    nodes: int = 0  # on one PostgreSQL behind nginx, instead of a single gateway


@dataclass(frozen=True)
class Result:
    """What came of it."""

    books: Books
    promise: Promise
    violations: list[Violation]
    seconds: float


@dataclass(frozen=True)
class Tested:
    """What is tested, and how it is met."""

    gateways: list[Archon]
    url: str  # for clients
    victims: dict[str, Victim]
    read: Callable[[], DatabaseBook]
    choices: Choices = field(default_factory=lambda: VICTIMS)
    away_s: tuple[float, ...] = AWAY_S
    keeps_sockets: bool = False


class Work:
    """What clients have done since the blow before, however fast the machine is."""

    def __init__(self, book: ClientBook, calls: int) -> None:
        """Begins to count; `calls` are waited for each time."""
        self._book, self._calls, self._seen = book, calls, 0

    def wait(self) -> None:
        """Waits until so many calls more have ended."""
        due = self._seen + self._calls
        wait_for(f"{due} calls", lambda: len(self._book.calls) >= due, timeout_s=WORK_S)
        self._seen = len(self._book.calls)

    def wait_for_pauses(self, kills: tuple[Kill, ...]) -> None:
        """Waits until pauses have passed without a kill, so that what servers held can be compared."""
        wait_for(
            "pauses without a kill",
            lambda: sum(is_compared(pause, kills) for pause in tuple(self._book.pauses)) >= PAUSES,
            timeout_s=WORK_S,
        )

    def wait_for_each_kind(self) -> None:
        """Waits until clients of each kind have made a call, where calls are waited for."""
        if self._calls:
            wait_for("calls of each kind", lambda: len(kinds(self._book)) == KINDS, timeout_s=WORK_S)


def kinds(book: ClientBook) -> set[str]:
    """Returns which kinds of clients have made a call."""
    return {call.client.split("-")[0] for call in tuple(book.calls)}


def run(
    plan: Plan,
    directory: Path,
    say: Callable[[str], None] = print,
    through: Callable[[str], AbstractContextManager[str]] = contextlib.nullcontext,
) -> Result:
    """Runs a plan, with everything it leaves in a directory.

    `through` puts something between the gateway and an upstream over HTTP.
    """
    began = time.monotonic()
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / CONFIG_FILE).exists():
        raise FileExistsError(f"{directory} has the books of another run, and they would mix")
    book, journal = ClientBook(), directory / "journal.jsonl"
    with contextlib.ExitStack() as stack:
        processes = stack.enter_context(Processes(directory))
        sockets = stack.enter_context(contextlib.closing(HeldSockets()))
        upstream: Fixture | StdioUpstream
        args = ["--journal", str(journal), *(["--legacy-only"] if plan.is_legacy_only else [])]
        if plan.is_stdio:
            target, upstream = fixture_command(*args), StdioUpstream(journal)
        else:
            upstream = processes.start_fixture(*args)
            target = stack.enter_context(through(upstream.url))
        if plan.nodes:
            tested = _start_nodes(plan, directory, processes, target, stack)
        else:
            tested = _start_one(plan, directory, processes, sockets, target, stack)
        urls = " ".join(gateway.url for gateway in tested.gateways)
        say(f"{urls}, {'inherited sockets' if tested.keeps_sockets else 'fixed ports'}")
        blows = schedule(plan.seed, plan.kills, plan.pause_s, tested.choices, tested.away_s)
        with _clients(plan, tested.url, book):
            victims = tested.victims | {UPSTREAM: upstream}
            work = Work(book, plan.calls_between)
            kills = tuple(carry_out(blows, victims, say, until_worked=work.wait))
            work.wait_for_each_kind()
            if plan.has_pauses:
                work.wait_for_pauses(kills)
            say("clients finish")
        for gateway in tested.gateways:
            gateway.stop()
        lines = [line for gateway in tested.gateways for line in gateway.log().splitlines()]
        panics = tuple(line for line in lines if "panicked at" in line)
        books = Books(book, read_journal(journal), tested.read(), kills, panics)
    books.save(directory)
    idle_s = IDLE_S if plan.has_pauses else None
    promise = Promise(plan.durability == "strict", tested.keeps_sockets, plan.relaxed_s, idle_s)
    violations = compare(books, promise)
    (directory / "violations.txt").write_text("".join(f"{each}\n" for each in violations))
    return Result(books, promise, violations, time.monotonic() - began)


def _start_one(
    plan: Plan,
    directory: Path,
    processes: Processes,
    sockets: HeldSockets,
    target: str,
    stack: contextlib.ExitStack,
) -> Tested:
    """Starts a single gateway, and a proxy before it if that is planned."""
    gateway = _start(plan, directory, processes, sockets, target)
    front = in_front_of if plan.is_behind_nginx else contextlib.nullcontext
    return Tested(
        gateways=[gateway],
        url=stack.enter_context(front(gateway.url)),
        victims={GATEWAY: gateway},
        read=lambda: read_database(Path(gateway.db), TOOLS),
        keeps_sockets=isinstance(gateway, HeldArchon),
    )


def _start_nodes(
    plan: Plan,
    directory: Path,
    processes: Processes,
    target: str,
    stack: contextlib.ExitStack,
) -> Tested:
    """Starts a database, the nodes on it, and a proxy that sends each request to the next of them."""
    config = _configured(plan, directory)
    # The processes end before their database does.
    postgres = stack.enter_context(cluster.database())
    stack.enter_context(processes)
    nodes = {
        name: processes.start_archon(
            "--config", str(config), "--node", name, upstream=target, db=postgres.url
        )
        for name in cluster.NAMES[: plan.nodes]
    }
    return Tested(
        gateways=list(nodes.values()),
        url=stack.enter_context(in_front_of(*(node.url for node in nodes.values()))),
        victims=cluster.faults(nodes),
        read=lambda: cluster.read(postgres, TOOLS),
        choices=cluster.choices(nodes),
        away_s=cluster.AWAY_S,
    )


def _configured(plan: Plan, directory: Path) -> Path:
    """Writes the configuration of each gateway."""
    config = directory / CONFIG_FILE
    sessions = IMPATIENT if plan.has_pauses else CONFIG
    config.write_text(sessions + (STRICT if plan.durability == "strict" else ""))
    return config


def _start(
    plan: Plan,
    directory: Path,
    processes: Processes,
    sockets: HeldSockets,
    target: str,
) -> Archon:
    """Starts the gateway on sockets of ours, or on ports if it takes none over."""
    args = ("--config", str(_configured(plan, directory)))
    upstream: dict[str, Upstream] = {"fixture": target}
    held = HeldArchon(directory / "archon", *args, sockets=sockets, upstream=upstream)
    processes.started.append(held)
    if held.took_over:
        return held
    held.stop()
    sockets.close()
    processes.started.remove(held)
    port = ("--mcp-port", str(plan.mcp_port)) if plan.mcp_port else ()
    return processes.start_archon(*args, *port, upstream=upstream)


@contextlib.contextmanager
def _clients(plan: Plan, url: str, book: ClientBook) -> Iterator[None]:
    """Lets clients work for as long as the block runs, and then finish their calls."""
    is_over = threading.Event()
    # A quarter are clients of the library, in turn of both eras; the others are as many of each.
    library = plan.clients // 4
    raw = plan.clients - library
    with ThreadPoolExecutor(raw + 1) as pool:
        working = [pool.submit(_raw, plan, number, url, book, is_over) for number in range(raw)]
        if library:
            working.append(pool.submit(_libraries, plan, library, url, book, is_over))
        try:
            yield
        finally:
            is_over.set()
            for future in working:
                _finish(future, book)


def _finish(future: Future[None], book: ClientBook) -> None:
    try:
        future.result(FINISH_S)
    except Exception as error:  # Whatever stopped a client, the others' books are worth reading.
        book.broken.append("".join(traceback.format_exception(error)))


def _raw(
    plan: Plan, number: int, url: str, book: ClientBook, is_over: threading.Event
) -> None:
    era = (Legacy, Modern)[number % 2]
    for turn in itertools.count():
        if is_over.is_set():
            return
        name = f"{era.__name__.lower()}-{number}.{turn}"
        chance = random.Random(f"{plan.seed} {name}")
        calls = chance.randint(*CALLS)
        client = era(url, name, book, chance)
        if plan.nodes:
            client.sender.silence_s = cluster.SILENCE_S
        client.dark_share = DARK_SHARE if plan.has_dark_networks else 0
        if plan.has_pauses:
            client.pauses = Pauses(name, book, chance, plan.is_stdio, era is Legacy)
        client.use(calls, is_over.is_set)


def _libraries(
    plan: Plan, count: int, url: str, book: ClientBook, is_over: threading.Event
) -> None:
    async def use(number: int) -> None:
        mode = ("legacy", "auto")[number % 2]
        for turn in itertools.count():
            if is_over.is_set():
                return
            name = f"library-{mode}-{number}.{turn}"
            chance = random.Random(f"{plan.seed} {name}")
            calls = chance.randint(*CALLS)
            client = Library(url, name, mode, book, chance)
            if plan.has_pauses:
                client.pauses = Pauses(name, book, chance, plan.is_stdio, mode == "legacy")
            try:
                await client.use(calls, is_over.is_set)
            except Exception as error:  # The next one takes its place, and the comparison tells.
                book.broken.append(f"{name}: {''.join(traceback.format_exception(error))}")

    async def use_all() -> None:
        await asyncio.gather(*(use(number) for number in range(count)))

    asyncio.run(use_all())
