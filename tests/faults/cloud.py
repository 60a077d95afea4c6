"""A switch whose vault keys are wrapped by KMS and whose events go to SQS, both moto's."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.events.consuming import Balances
from tests.events.sqs_door import Queue, SqsDoor, client_of, sqs_door
from tests.keys.kms_door import REGION, KmsDoor, door
from tests.process import Switch, as_setting, free_port
from tests.traffic import ROOT
from tests.typed import typed

#: Of the key file: what is made, of which kind.
VAULT_KEYS = {"pan_token_02": "token", "pan_data_02": "data"}


@dataclass
class Cloud:
    """Everything there is."""

    moto: tuple[str, int]
    kms: KmsDoor
    sqs: SqsDoor
    queue: Queue
    dead_letters: Queue
    switch: Switch
    settings: dict[str, object]  #: of the commands: database, keys and vault

    def balances(self) -> Balances:
        """What the accounts stand at, by the ledger."""
        return asyncio.run(self._balances())

    async def _balances(self) -> Balances:
        connection = await asyncpg.connect(str(self.settings["database__url"]))
        try:
            rows = await connection.fetch(
                "SELECT account_id, posted_minor, held_minor, credit_limit_minor FROM accounts"
            )
        finally:
            await connection.close()
        return {str(account): (posted, held, limit) for account, posted, held, limit in rows}


@contextlib.contextmanager
def cloud(moto: tuple[str, int], database: str, folder: Path) -> Iterator[Cloud]:
    """All of it; the switch is not started."""
    kms_key: str = client_of(moto, "kms").create_key()["KeyMetadata"]["KeyId"]
    dead_letters = Queue(moto)
    policy = {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": 50}
    queue = Queue(moto, RedrivePolicy=json.dumps(policy), VisibilityTimeout="2")
    with door(moto) as kms, sqs_door(moto) as sqs:
        vault: dict[str, object] = {
            "vault__kms_region": REGION,
            "vault__kms_endpoint_url": kms.url,
        }
        keys = folder / "keys.toml"
        made = [typed(*_generating(name, kms_key), settings=vault).stdout for name in VAULT_KEYS]
        keys.write_text("\n".join([(ROOT / "keys/dev/keys.toml").read_text(), *made]))
        settings = vault | {
            "database__url": as_setting(database),
            "hsm__keys": keys,
            "vault__token_keys": '["pan_token_02"]',
            "vault__data_keys": '["pan_data_02"]',
        }
        switch = Switch(
            folder,
            **settings,
            links__0__listen=f"127.0.0.1:{free_port()}",
            admin__listen=f"127.0.0.1:{free_port()}",
            events__sink="sqs",
            events__queue_url=queue.url,
            events__region=REGION,
            events__endpoint_url=sqs.url,
        )
        try:
            yield Cloud(moto, kms, sqs, queue, dead_letters, switch, settings)
        finally:
            switch.end()


def _generating(name: str, kms_key: str) -> list[str]:
    return [
        "keys", "vault-generate", name, "--kind", VAULT_KEYS[name], "--version", "02",
        "--kms-key", kms_key,
    ]  # fmt: skip
