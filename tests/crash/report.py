"""What a run found, as text."""

from __future__ import annotations

from collections import Counter

from crash.books import Outcome
from crash.run import Plan, Result
from crash.sessions import is_compared
from crash.violations import Wrong

# Of each kind so many are shown; violations.txt has all.
SHOWN = 5


def report(plan: Plan, result: Result) -> str:
    """The books in figures, and what is wrong."""
    clients, database = result.books.clients, result.books.database
    outcomes = Counter(call.outcome for call in clients.calls)
    codes = Counter(call.code for call in clients.calls if call.outcome is Outcome.ERROR)
    victims = Counter(kill.victim for kill in result.books.kills)
    executions = result.books.executions.values()
    errors = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    answers = [call for call in clients.calls if call.outcome in (Outcome.RESULT, Outcome.ERROR)]
    pauses = clients.pauses
    away = [kill.ready_at - kill.killed_at for kill in result.books.kills if kill.is_of_gateway]
    figures = {
        "durability": plan.durability,
        "kills": ", ".join(f"{count} of the {victim}" for victim, count in victims.items()),
        "longest absence of the gateway": f"{max(away, default=0):.2f} s",
        "clients": len({note.client for note in clients.sessions}),
        "calls": len(clients.calls),
        "  result": outcomes[Outcome.RESULT],
        "  error": f"{outcomes[Outcome.ERROR]} ({errors})" if errors else 0,
        "  no answer": outcomes[Outcome.NO_ANSWER],
        "  unreadable": outcomes[Outcome.ODD],
        "  answered on a resumed stream": sum(1 for call in answers if call.resumptions),
        "pauses": len(pauses),
        "  after which the session was continued": sum(
            1 for pause in pauses if pause.session_before != pause.session_after
        ),
        "  after which the state was compared": sum(
            1 for pause in pauses if is_compared(pause, result.books.kills)
        ),
        "library clients opened again": clients.reopened,
        "refused connections": clients.refused,
        "executed upstream": sum(1 for execution in executions if execution.started),
        "  to their end": sum(1 for execution in executions if execution.ended),
        "rows": len(database.rows),
        "sessions": len(database.sessions),
        "seconds": f"{result.seconds:.0f}",
    }
    wrong = Counter(violation.wrong for violation in result.violations)
    lines = [f"{name:40}{value}" for name, value in figures.items()]
    lines += ["", *(f"{kind + 's':40}{wrong[kind]}" for kind in Wrong)]
    for kind in Wrong:
        found = [violation for violation in result.violations if violation.wrong is kind]
        lines += [""] if found else []
        lines += [str(violation) for violation in found[:SHOWN]]
        lines += [f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "\n".join(lines)
