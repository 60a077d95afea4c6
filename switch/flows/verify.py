"""What a message brings to be verified, asked of the HSM all at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from keys.hsm import (
    ArpcMethod,
    ArqcAnswer,
    CardVerificationValue,
    Cryptogram,
    HsmUnavailable,
    Ibm3624,
    KeyRef,
    PinReference,
    Verdict,
    VisaPvv,
)
from switch.flows.issuer import Issuer, PinZone, ZoneKey
from switch.rules.checks import BEFORE_VERIFICATION, Case, Verdicts, first_refusal
from switch.rules.cryptogram import CryptogramError, brings_cryptogram, cryptogram

#: The authorization response code of an approval, as the card sees it.
ARC_APPROVED = b"00"
_ARC_DECLINED = b"05"  # where DE39 is longer than an ARC: do not honour
_ARC_LENGTH = 2
_CODE_LENGTH = 3
_CVV2_SERVICE_CODE = "000"
_IBM_PAD = "F"

_Answer = TypeVar("_Answer")
_Question = Coroutine[Any, Any, _Answer]


async def verify(case: Case, issuer: Issuer) -> Verdicts:
    """Ask the HSM for every verdict that this message can have.

    A message that its card already refuses asks for no code and no PIN, but still for
    its cryptogram: the answer to a chip is authenticated also when it is a decline.
    An HSM that does not answer in its budget is a fault, never a mismatch.
    """
    until = min(time.monotonic() + issuer.hsm_budget, case.request.deadline.decide_by)
    refused = first_refusal(BEFORE_VERIFICATION, case)
    asked: dict[str, _Question[Any]] = {}
    if (chip := _cryptogram(case, issuer)) is not None:
        asked["chip"] = chip
    if refused is None:
        if (track_code := _track_code(case, issuer)) is not None:
            asked["track_code"] = track_code
        if (cvv2 := _cvv2(case, issuer)) is not None:
            asked["cvv2"] = cvv2
        if (cavv := _cavv(case, issuer)) is not None:
            asked["cavv"] = cavv
        if (pin := _pin(case, issuer, until)) is not None:
            asked["pin"] = pin
    answers = await (_one_by_one(asked) if issuer.hsm.is_inline else _all_by(asked, until))
    arqc: ArqcAnswer | None = answers.pop("chip", None)
    return Verdicts(
        refused=refused,
        cryptogram=arqc.verdict if arqc else _without_answer(case, asked),
        arpc=arqc.arpc if arqc else None,
        hsm_fault=len(answers) + (arqc is not None) < len(asked),
        **answers,
    )


async def arpc_over(
    case: Case, issuer: Issuer, response_code: str, *, is_approved: bool
) -> bytes | None:
    """The response cryptogram over another code than the one that was asked for with the
    verification; none where the HSM does not make it in time.
    """
    key, chip = case.program.keys.cryptogram, cryptogram(case)
    assert key is not None  # noqa: S101 - the cryptogram was verified with it
    deadline = case.request.deadline
    try:
        async with asyncio.timeout_at((deadline.decide_by + deadline.answer_by) / 2):
            data = arpc_data(case, chip, response_code, is_approved=is_approved)
            answer = await issuer.hsm.verify_arqc(key, chip, arpc_data=data)
    except (HsmUnavailable, TimeoutError):
        return None
    return answer.arpc


def arpc_data(case: Case, chip: Cryptogram, response_code: str, *, is_approved: bool) -> bytes:
    """What the response cryptogram is made over: the ARC, or the card status update."""
    if chip.scheme.arpc is ArpcMethod.METHOD_1:
        if len(response_code) == _ARC_LENGTH:
            return response_code.encode("ascii")
        return ARC_APPROVED if is_approved else _ARC_DECLINED
    return case.program.csu_approved if is_approved else case.program.csu_declined


async def _all_by(asked: dict[str, _Question[Any]], until: float) -> dict[str, Any]:
    """The answers that come in time, by name. What else raises is a configuration fault."""
    given = await asyncio.gather(*(_by(question, until) for question in asked.values()))
    return {name: answer for name, answer in zip(asked, given, strict=True) if answer is not None}


async def _one_by_one(asked: dict[str, _Question[Any]]) -> dict[str, Any]:
    """The same of an HSM that never waits: without tasks and timers, which cost more than it."""
    answers = {}
    try:
        for name, question in asked.items():
            try:
                answers[name] = await question
            except HsmUnavailable:
                continue
    finally:
        for question in asked.values():
            question.close()
    return answers


async def _by(question: _Question[_Answer], until: float) -> _Answer | None:
    try:
        async with asyncio.timeout_at(until):
            return await question
    except (HsmUnavailable, TimeoutError):
        return None


def _without_answer(case: Case, asked: dict[str, Any]) -> Verdict | None:
    """A cryptogram that could not even be asked for is wrong; one that got no answer is not."""
    if brings_cryptogram(case) and "chip" not in asked:
        return Verdict.MISMATCH
    return None


def _cryptogram(case: Case, issuer: Issuer) -> _Question[ArqcAnswer] | None:
    key = case.program.keys.cryptogram
    if key is None or not brings_cryptogram(case):
        return None
    try:
        chip = cryptogram(case)
    except CryptogramError:
        return None
    data = arpc_data(case, chip, ARC_APPROVED.decode(), is_approved=True)
    return issuer.hsm.verify_arqc(key, chip, arpc_data=data)


def _track_code(case: Case, issuer: Issuer) -> _Question[Verdict] | None:
    """The iCVV that a chip carries in its track 2, else the CVV of a stripe.

    A track is a stripe's unless a chip was read: one that fell back to its stripe, or
    whose entry mode nobody knows, is verified too. It is verified over what we know of the
    plastic: over the track's own words, whoever writes a track could choose which code passes.
    """
    if case.request.is_contactless_stripe and case.program.track_code.kind != "cvv":
        return _dynamic_code(case, issuer)
    track, plastic, key = case.request.track, case.plastic, case.program.keys.card_code
    if track is None or plastic is None or key is None:
        return None
    start = case.program.track_code_offset
    code = track.discretionary[start : start + _CODE_LENGTH]
    if len(code) < _CODE_LENGTH or not code.isdigit():
        return None
    is_chip = case.request.channel in ("chip", "contactless") and not case.request.is_stripe
    service_code = case.program.icvv_service_code if is_chip else plastic.service_code
    made_of = CardVerificationValue(plastic.expiry, service_code)
    return issuer.hsm.verify_card_code(key, made_of, pan=track.pan, code=code)


def _dynamic_code(case: Case, issuer: Issuer) -> _Question[Verdict] | None:
    """The code that a chip gave out for this one reading, in its track 2."""
    keys, wanted = case.program.keys, case.program.track_code
    key = keys.dcvv if wanted.kind == "dcvv" else keys.cvc3
    track, plastic = case.request.track, case.plastic
    if track is None or not track.is_track_2 or plastic is None or key is None:
        return None
    found = wanted.read(track, plastic)
    if found is None:
        return None
    made_of, code = found
    return issuer.hsm.verify_card_code(key, made_of, pan=track.pan, code=code)


def _cavv(case: Case, issuer: Issuer) -> _Question[Verdict] | None:
    """Visa's usage 3, version 7: a CVV over the words of the authentication."""
    cavv, key = case.request.cavv, case.program.keys.cavv
    if cavv is None or key is None:
        return None
    made_of = CardVerificationValue(cavv.number, cavv.results)
    return issuer.hsm.verify_card_code(key, made_of, pan=case.request.pan, code=cavv.code)


def _cvv2(case: Case, issuer: Issuer) -> _Question[Verdict] | None:
    code, plastic, key = case.request.cvv2, case.plastic, case.program.keys.card_code
    if code is None or plastic is None or key is None:
        return None
    expiry = plastic.expiry
    made_of = CardVerificationValue(
        expiry[2:] + expiry[:2] if case.program.cvv2_expiry_is_mmyy else expiry, _CVV2_SERVICE_CODE
    )
    return issuer.hsm.verify_card_code(key, made_of, pan=case.request.pan, code=code)


def _pin(case: Case, issuer: Issuer, until: float) -> _Question[Verdict] | None:
    block = case.request.pin_block
    reference = None if block is None else _pin_reference(case)
    if block is None or reference is None:
        return None
    zone = issuer.pin_zones[case.request.link]

    def ask(key: KeyRef) -> _Question[Verdict]:
        return issuer.hsm.verify_pin(
            reference,
            zone_key=key,
            pin_block=block,
            pin_block_format=zone.block_format,
            pan=case.request.pan,
        )

    return _under_any(zone, ask, until)


async def _under_any(
    zone: PinZone, ask: Callable[[KeyRef], _Question[Verdict]], until: float
) -> Verdict:
    """The verdict under the newest key of a link, else under another while one is replaced.

    Where a block is unreadable under all, a key may have come that this process has not learned.
    """
    tried = zone.keys
    verdict = await _best(tried, ask)
    if verdict is Verdict.UNREADABLE and await zone.look_again(zone, tried, until):
        known = {key.ref for key in tried}
        verdict = await _best([key for key in zone.keys if key.ref not in known], ask)
    return verdict


async def _best(keys: Sequence[ZoneKey], ask: Callable[[KeyRef], _Question[Verdict]]) -> Verdict:
    """Under which key a PIN is right; else that it is wrong, where one reads the block at all.

    Keys are tried on after a mismatch too: some HSMs say it of a block that they cannot read.
    """
    best = Verdict.UNREADABLE
    for key in keys:
        if key.ends_at is not None and key.ends_at <= time.monotonic():
            continue
        verdict = await ask(key.ref)
        if verdict is Verdict.MATCH:
            return verdict
        if verdict is Verdict.MISMATCH:
            best = verdict
    return best


def _pin_reference(case: Case) -> PinReference | None:
    """What the card's PIN is compared with; none for a card or a program without PINs."""
    method, reference, keys = case.card.pin_method, case.card.pin_reference, case.program.keys
    key = keys.visa_pvv if method == "visa_pvv" else keys.ibm3624
    if method is None or reference is None or key is None:
        return None
    if method == "visa_pvv":
        return VisaPvv(key, pvki=reference[0], pvv=reference[1:])
    # Validation data: the twelve rightmost PAN digits without the check digit, filled with F.
    return Ibm3624(
        key,
        offset=reference,
        decimalization_table=case.program.ibm_decimalization_table,
        validation_data=case.request.pan[-13:-1].ljust(16, _IBM_PAD),
    )
