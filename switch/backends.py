"""
Which HSM the settings name, made ready to be opened.

A backend's module is imported only where it is used: boto3 alone costs a quarter of a second,
and PKCS#11 is an extra that need not be installed.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from keys.breaker import Breaker
from keys.guard import GuardedHsm
from keys.hsm import Hsm, HsmRejected
from keys.keyfile import KeyEntry, read_kbpk
from switch.operate.events import Operator
from switch.operate.metrics import Metrics
from switch.prepare import open_blocks
from switch.settings import Settings


def backend_of(settings: Settings, entries: Mapping[str, KeyEntry]) -> Hsm:
    """The HSM of the settings, not yet opened, over the keys that have a place in it."""
    match settings.hsm.backend:
        case "aws":
            return _aws(settings, entries)
        case "payshield":
            return _payshield(settings, entries)
        case "pkcs11":
            return _pkcs11(settings, entries)
    return _software(settings, entries)


def guarded(settings: Settings, hsm: Hsm, operator: Operator, metrics: Metrics) -> Hsm:
    """The HSM with its limits and its metrics; one that never waits needs none."""
    if hsm.is_inline:
        return hsm
    return GuardedHsm(
        hsm,
        patience=settings.hsm.budget_ms / 1000,
        ping_every=settings.hsm.ping_every_ms / 1000,
        in_flight_max=settings.hsm.in_flight_max,
        breaker=Breaker(failures_max=settings.hsm.breaker_failures),
        on_event=operator.event,
        on_question=metrics.hsm_question,
    )


def _software(settings: Settings, entries: Mapping[str, KeyEntry]) -> Hsm:
    from keys.software.backend import SoftwareHsm

    keys = open_blocks(settings, entries)
    kbpk = read_kbpk(settings.hsm.kbpk_file)
    return SoftwareHsm(keys, emv_2000=settings.hsm.allow_emv_2000, kbpk=kbpk)


def _aws(settings: Settings, entries: Mapping[str, KeyEntry]) -> Hsm:
    from keys.aws import AwsHsm

    aws = settings.hsm.aws
    return AwsHsm(
        entries,
        region=aws.region or None,
        endpoint_url=aws.endpoint_url or None,
        control_endpoint_url=aws.control_endpoint_url or None,
        connections=aws.connections,
        budget=settings.hsm.budget_ms / 1000,
    )


def _payshield(settings: Settings, entries: Mapping[str, KeyEntry]) -> Hsm:
    from keys.payshield import PayShieldHsm

    payshield = settings.hsm.payshield
    return PayShieldHsm(
        entries,
        addresses=[(address.host, address.port) for address in payshield.addresses],
        connections=payshield.connections,
        header=payshield.header,
        lmk_id=payshield.lmk_id or None,
        has_key_blocks=payshield.lmk == "key-block",
        tls=_payshield_tls(settings),
        budget=settings.hsm.budget_ms / 1000,
    )


def _payshield_tls(settings: Settings) -> ssl.SSLContext | None:
    payshield = settings.hsm.payshield
    if payshield.tls_ca is None:
        return None
    try:
        context = ssl.create_default_context(cafile=payshield.tls_ca)
        # An HSM is called by its address; its certificate is of the CA that is given here alone.
        context.check_hostname = False
        if payshield.tls_certificate is not None:
            context.load_cert_chain(payshield.tls_certificate, payshield.tls_key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or "not a certificate and its key"
        raise settings.refusal("hsm.payshield.tls_ca", reason) from None
    return context


def _pkcs11(settings: Settings, entries: Mapping[str, KeyEntry]) -> Hsm:
    try:
        from keys.pkcs11 import Pkcs11Hsm
    except ImportError:
        raise HsmRejected("backend pkcs11: python-pkcs11 is not installed: extra pkcs11") from None

    pkcs11 = settings.hsm.pkcs11
    assert pkcs11.pin_file is not None  # noqa: S101 - the settings refuse it
    try:
        pin = pkcs11.pin_file.read_text("utf-8").strip()
    except OSError as error:
        raise settings.refusal("hsm.pkcs11.pin_file", f"cannot be read: {error.strerror}") from None
    return Pkcs11Hsm(
        entries, module=pkcs11.module, token=pkcs11.token, pin=pin, sessions=pkcs11.sessions
    )
