"""A case of the contract: a question, who is asked it, and what must come back."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from keys.hsm import ArqcAnswer, Capability, Hsm, HsmRejected, HsmUnavailable, Verdict
from tests.contract.keys import KEYS

#: Seconds that one case may take, on a machine that does other things too.
PATIENCE = 30.0

#: Characters below which a secret says nothing, and stands in any text.
SECRET_MIN = 4

Answer = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Case:
    """
    One question.

    `answers` judges what came back: an answer, or the class of `HsmRejected` or `HsmUnavailable`
    where one was raised. `secrets` may stand in no error, whole or as a part.
    """

    row: str  #: of the matrix: the capability that it is about, or a name of its own
    fact: str  #: in a few words, what must hold
    needs: frozenset[Capability]
    ask: Callable[[Hsm], Awaitable[object]]
    answers: Answer
    secrets: tuple[str, ...] = ()

    def is_for(self, capabilities: frozenset[Capability]) -> bool:
        """Whether a backend that can do these is asked it."""
        return self.needs <= capabilities

    def __str__(self) -> str:
        return f"{self.row}: {self.fact}"


def one_of(*right: object) -> Answer:
    """Any of these answers, and nothing else."""
    return lambda answer: any(answer is each or answer == each for each in right)


MATCHES = one_of(Verdict.MATCH)
MISMATCHES = one_of(Verdict.MISMATCH)
#: A PIN block that is none: backends that cannot tell say mismatch.
IS_NOT_READ = one_of(Verdict.MISMATCH, Verdict.UNREADABLE)
REFUSES = one_of(HsmRejected)
#: Misshapen questions: refused, or no match, as the backend likes.
NEVER_MATCHES = one_of(HsmRejected, Verdict.MISMATCH, Verdict.UNREADABLE)
IS_UNAVAILABLE = one_of(HsmUnavailable)
HAS_NO_ARPC = one_of(ArqcAnswer(Verdict.MISMATCH))


async def wrong_with(case: Case, hsm: Hsm) -> str | None:
    """Ask a case; say in a few words what is wrong with the answer, or nothing."""
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await case.ask(hsm)
    except (HsmRejected, HsmUnavailable) as error:
        if leak := leaked(error, case.secrets):
            return f"its error tells {leak}"
        kind = HsmRejected if isinstance(error, HsmRejected) else HsmUnavailable
        return None if case.answers(kind) else f"raised {kind.__name__}: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not of the contract
        return f"raised {type(error).__name__}, which no caller expects"
    return None if case.answers(answer) else f"answered {shown(answer)}"


def leaked(error: BaseException, secrets: tuple[str, ...]) -> str | None:
    """Say which secret stands in an error, its causes or its lines of code."""
    told = "".join(traceback.format_exception(error)).lower()
    for secret in secrets:
        if len(secret) >= SECRET_MIN and secret.lower() in told:
            return "what it was asked about"
    for name, key in KEYS.items():
        if key.material.hex() in told or repr(key.material).lower() in told:
            return f"key {name!r}"
    return None


def shown(answer: object) -> str:
    """Show an answer without its bytes."""
    match answer:
        case Verdict():
            return answer.name
        case ArqcAnswer(verdict, arpc):
            return f"{verdict.name} with {'an' if arpc else 'no'} ARPC"
    return f"another {type(answer).__name__}"
