"""What went wrong in TLS, in words that stand in docs/tls.md."""

from __future__ import annotations

import ssl

#: What OpenSSL says of a peer's certificate (X509_V_ERR_…), in our words.
_UNTRUSTED = "untrusted certificate"
_VERDICTS = {
    2: _UNTRUSTED, 18: _UNTRUSTED, 19: _UNTRUSTED, 20: _UNTRUSTED, 21: _UNTRUSTED,
    9: "certificate not yet valid", 10: "certificate expired",
    26: "certificate not for this purpose", 62: "certificate of another host",
    64: "certificate of another host", 66: "certificate's key too weak",
    67: "CA's key too weak", 68: "certificate's digest too weak",
}  # fmt: skip
#: What OpenSSL says of a handshake, in our words.
_FAILURES = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no certificate",
    "UNSUPPORTED_PROTOCOL": "wrong protocol: TLS 1.2 at least",
    "WRONG_VERSION_NUMBER": "wrong protocol: TLS 1.2 at least",
    "WRONG_SSL_VERSION": "wrong protocol: TLS 1.2 at least",
    "UNKNOWN_PROTOCOL": "wrong protocol: TLS 1.2 at least",
    "NO_SHARED_CIPHER": "no cipher in common",
    "NO_SHARED_GROUPS": "no cipher in common",
    "NO_SUITABLE_KEY_SHARE": "no cipher in common",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no cipher in common",
    "NO_SHARED_SIGNATURE_ALGORITHMS": "no cipher in common",
}


def problem_of(error: Exception) -> str:
    """What was wrong, in one of our sentences: constants of OpenSSL, nothing of the peer's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = str(getattr(error, "verify_message", "")) or "verification failed"
        return _VERDICTS.get(error.verify_code, f"certificate refused: {text}")
    reason = str(getattr(error, "reason", None) or "UNKNOWN")
    if reason in _FAILURES:
        return _FAILURES[reason]
    _, is_alert, alert = reason.partition("_ALERT_")
    if is_alert:
        return f"the peer refused: {alert.lower().replace('_', ' ')}"
    return f"broken TLS: {reason.lower().replace('_', ' ')}"
