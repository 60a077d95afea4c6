"""
The control plane: moto's server, made to hold the test keys.

moto can make a key and an alias but not import a key, and draws its check value by lot. So the keys
are made through its API, as anybody would, and then their check values are put right inside it.
The data plane is told which ARN is which key.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import boto3

from keys.keyfile import Key, KeyEntry
from tests.contract.keys import KEYS
from tests.hsm_aws import formulas
from tests.hsm_aws.model import service
from tests.hsm_aws.operations import Held

REGION = "us-east-1"
ACCOUNT = "123456789012"

#: The default chain finds these, and asks nobody else.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}

_SIZES = {("T", 16): "TDES_2KEY", ("T", 24): "TDES_3KEY", ("A", 16): "AES_128"}

#: What a mode of use of TR-31 is called here.
_MODES = {
    "V": ("Verify",),
    "C": ("Generate", "Verify"),
    "X": ("DeriveKey",),
    "B": ("Encrypt", "Decrypt", "Wrap", "Unwrap"),
}


class ControlPlane:
    """moto's control plane with keys in it."""

    def __init__(self, url: str) -> None:
        from moto.paymentcryptography.models import paymentcryptography_backends

        self.url = url
        self._client = boto3.client(
            "payment-cryptography",
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        self.backend: Any = paymentcryptography_backends[ACCOUNT][REGION]
        self.backend.reset()

    def put(self, name: str, key: Key) -> Held:
        """Make a key and its alias, with the key's own check value."""
        made = self._client.create_key(
            KeyAttributes={
                "KeyUsage": _usage(key.usage),
                "KeyClass": "SYMMETRIC_KEY",
                "KeyAlgorithm": _SIZES[key.algorithm, len(key.material)],
                "KeyModesOfUse": dict.fromkeys(_MODES[key.mode_of_use], True),
            },
            Exportable=False,
            Enabled=True,
        )
        arn = made["Key"]["KeyArn"]
        kcv = formulas.check_value(key.material, key.algorithm)
        self.backend.keys[arn].key_check_value = kcv
        self._client.create_alias(AliasName=f"alias/{name}", KeyArn=arn)
        return Held(arn, key, kcv)

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()


def entries(held: Mapping[str, Held]) -> dict[str, KeyEntry]:
    """The keys as the key file would name them: by alias."""
    return {
        name: KeyEntry(name, of.kcv, of.key.usage, of.key.algorithm, "00", {"aws": f"alias/{name}"})
        for name, of in held.items()
    }


@contextmanager
def control_plane(keys: Mapping[str, Key] = KEYS) -> Iterator[tuple[ControlPlane, dict[str, Held]]]:
    """Run moto's server with these keys, and give it with what each became."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer  # takes seconds

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with mock.patch.dict(os.environ, CREDENTIALS):
        plane = ControlPlane(f"http://{host}:{port}")
        try:
            yield plane, {name: plane.put(name, key) for name, key in keys.items()}
        finally:
            plane.close()
            server.stop()
            if server._server is not None:
                server._server.server_close()  # moto leaves the socket to the collector


def by_identifier(held: Mapping[str, Held]) -> dict[str, Held]:
    """The keys as the data plane finds them: by ARN and by alias."""
    named = {f"alias/{name}": of for name, of in held.items()}
    return named | {of.arn: of for of in held.values()}


def _usage(usage: str) -> str:
    """KeyUsage of the model whose TR-31 part is this."""
    names = service("payment-cryptography").shape_for("KeyUsage").enum
    return str(next(name for name in names if name.startswith(f"TR31_{usage}_")))
