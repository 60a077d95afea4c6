"""
Vault keys that AWS KMS holds wrapped: in the key file stands a ciphertext that only KMS opens.

    [pan_data]
    kms = "AQIDAHh…"   # the CiphertextBlob of GenerateDataKey, in Base64
    usage = "D0"       # M7 and H for a token key
    algorithm = "A"
    version = "01"
    kcv = "221520"

KMS is asked at start, once a key; the clear key then lives in the memory of the process, and
nothing that decides asks KMS. The encryption context binds a ciphertext to the logical name, the
usage and the version: in another key's place it does not open. It stands in CloudTrail's log.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from keys.keyfile import KeyEntry
from keys.software.key import AES, HMAC, Key
from keys.vault import KEY_SIZE

T = TypeVar("T")

#: Seconds for a connection, for a read of it, and for a whole answer however it trickles.
CONNECT_SECONDS, READ_SECONDS, ANSWER_SECONDS = 3.0, 5.0, 15.0

#: How a key of each usage may be used: TR-31's mode of use.
_MODES = {("D0", AES): "B", ("M7", HMAC): "C"}

#: What KMS says when the same question may be answered later. Every answer of 5xx is such.
_LATER = frozenset(
    {
        "ConnectorConnectionException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "KMSInternalException",
        "LimitExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)

#: What the ciphertext is for an answer that says so: changed, or another name's or version's.
_NOT_OURS = frozenset({"IncorrectKeyException", "InvalidCiphertextException"})

#: An error's name comes from outside: nothing else of it is repeated.
_CODE = re.compile(r"[A-Za-z]{1,64}", re.ASCII)


class KmsUnavailable(Exception):
    """KMS gave no answer, and may give one later. Says which key it was asked for, and why."""


class KmsRejected(ValueError):
    """KMS refuses, or what it gives is not the pinned key: waiting does not help."""


class Kms:
    """AWS KMS, with the credentials of the default chain. Its calls block: see `answered`."""

    def __init__(self, *, region: str = "", endpoint_url: str = "") -> None:
        """Without a region, that of the environment; without an address, that of the region."""
        # boto3 itself reads only AWS_DEFAULT_REGION.
        self._region = region or os.environ.get("AWS_REGION")
        self._endpoint_url = endpoint_url or None
        self._client: Any = None

    def decrypt(self, entry: KeyEntry) -> Key:
        """Open the key of an entry that has a place `kms`.

        Raises `KmsUnavailable` and `KmsRejected`, the latter also where the check value of what
        comes is not the pinned one.
        """
        try:
            blob = base64.b64decode(entry.places["kms"], validate=True)
        except binascii.Error:
            raise KmsRejected(f"{entry.name}: kms: is not Base64") from None
        context = context_of(entry.name, entry.usage, entry.version)
        answer = self._ask(
            "decrypt", entry.name, {"CiphertextBlob": blob, "EncryptionContext": context}
        )
        key = _key(answer, entry.name, entry.usage, entry.algorithm, entry.version)
        if not key.has_check_value(entry.kcv):
            raise KmsRejected(f"{entry.name}: kcv is {key.kcv}, but {entry.kcv} is pinned")
        return key

    def generate(self, name: str, usage: str, version: str, *, kms_key: str) -> tuple[str, str]:
        """Make a new 32-byte key under a KMS key (id, ARN or alias): Base64 and check value.

        GenerateDataKeyWithoutPlaintext would not tell what the check value is made of, so the
        clear key crosses this process's memory. Raises as `decrypt` does.
        """
        context = context_of(name, usage, version)
        asked = {"KeyId": kms_key, "NumberOfBytes": KEY_SIZE, "EncryptionContext": context}
        answer = self._ask("generate_data_key", name, asked)
        blob = answer.get("CiphertextBlob")
        if not isinstance(blob, bytes) or not blob:
            raise KmsUnavailable(f"{name}: KMS: its answer cannot be read")
        key = _key(answer, name, usage, {"D0": AES, "M7": HMAC}[usage], version)
        return base64.b64encode(blob).decode(), key.kcv

    def close(self) -> None:
        """Close what connections there are."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _ask(self, question: str, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        # Imported where it is used: it takes a quarter of a second, and most have no KMS.
        from botocore import exceptions as told

        try:
            if self._client is None:
                self._client = self._connected()
            answer: dict[str, Any] = getattr(self._client, question)(**asked)
        except told.ClientError as error:
            raise _refusal(name, error.response) from None
        except told.NoRegionError:
            raise KmsRejected(f"{name}: KMS: no region: set vault.kms_region") from None
        except (told.NoCredentialsError, told.PartialCredentialsError):
            raise KmsRejected(f"{name}: KMS: there are no AWS credentials") from None
        except told.ParamValidationError:
            raise KmsRejected(f"{name}: KMS: what is asked is not allowed") from None
        except Exception as error:  # noqa: BLE001 - a peer can make botocore raise anything
            if isinstance(error, ValueError) and self._client is None:
                raise KmsRejected(f"{name}: KMS: vault.kms_endpoint_url is no address") from None
            # Its text is not told: there may be an address, a credential, bytes of a peer in it.
            raise KmsUnavailable(f"{name}: KMS: no answer ({type(error).__name__})") from None
        return answer

    def _connected(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1},  # who waits says so, and tries again
        )
        return boto3.session.Session(region_name=self._region).client(
            "kms", endpoint_url=self._endpoint_url, config=config
        )


async def answered(name: str, work: Callable[[], T]) -> T:
    """Await a blocking question to KMS about a key, `ANSWER_SECONDS` at most.

    It has a thread of its own that the process does not wait for at its end: a peer that sends a
    byte now and then would keep it for ever.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # none only beside an error

    def run() -> None:
        result: T | None = None
        failed: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="kms", daemon=True).start()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await future
    except TimeoutError:
        raise KmsUnavailable(f"{name}: KMS: no answer in {ANSWER_SECONDS:.0f} s") from None


def context_of(name: str, usage: str, version: str) -> dict[str, str]:
    """The encryption context of a vault key. It is no secret."""
    return {"key": name, "usage": usage, "version": version}


def _refusal(name: str, response: dict[str, Any]) -> Exception:
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(response.get("Error", {}).get("Code", ""))
    code = code if _CODE.fullmatch(code) else "an error without a name"
    if code in _LATER or status >= 500 or status == 429:
        return KmsUnavailable(f"{name}: KMS: {code}")
    if code in _NOT_OURS:
        return KmsRejected(
            f"{name}: KMS: the ciphertext was changed, or made for another name, usage or version"
        )
    return KmsRejected(f"{name}: KMS refuses: {code}")


def _key(answer: dict[str, Any], name: str, usage: str, algorithm: str, version: str) -> Key:
    material = answer.get("Plaintext")
    if not isinstance(material, bytes) or not material:
        raise KmsUnavailable(f"{name}: KMS: its answer cannot be read")
    mode_of_use = _MODES.get((usage, algorithm))
    if mode_of_use is None or len(material) != KEY_SIZE:
        raise KmsRejected(f"{name}: is neither a D0 AES-256 key nor an M7 HMAC key of 32 bytes")
    return Key(material, usage=usage, algorithm=algorithm, mode_of_use=mode_of_use, version=version)
