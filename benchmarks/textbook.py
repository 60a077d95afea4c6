"""
The textbook's way: the same decision as an ordinary server makes it, on the same tables.

    python -m benchmarks.textbook --url postgresql://… --port 8583 --connections 8

A task a message. pyiso8583 decodes and encodes; a connection of an asyncpg pool is taken; BEGIN,
the card, its CVV through the software HSM, the account FOR UPDATE, the repeat, the rows, the
balance, COMMIT; an 0110. It is written as well as a day allows: uvloop, statements that asyncpg
prepares once and keeps, the planner's settings of the switch, no reset of a connection that
nothing was set on, one INSERT for four tables. Of what the switch does it leaves out the
deadline, the log, the metrics, limits, and whatever is not a purchase on a stripe.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Mapping

import asyncpg
import click
import iso8583
import uvloop

from benchmarks.rig import HOST
from keys.hsm import CardVerificationValue, KeyRef, Verdict
from keys.keyfile import load as load_keys
from keys.keyfile import read_kbpk
from keys.software.backend import SoftwareHsm
from keys.vault import LocalDataKeys, Vault
from specs.spec import load as load_spec
from switch.demo.program import read_program
from switch.ledger.lane import SESSION
from switch.setting_values import packaged_key_file

CODEC = load_spec("iso87-ascii").codec
ECHOED = ("3", "4", "7", "11", "32", "33", "37", "41", "42", "49")
KEY = ("t", "7", "11", "32", "37", "41", "2")

CARD = """
SELECT t.account_id, t.card_id, c.status, c.channels_blocked, c.mcc_blocked, c.countries_allowed,
       EXISTS (SELECT FROM plastics AS p
                WHERE p.account_id = c.account_id AND p.card_id = c.card_id
                  AND p.expiry = $2 AND NOT p.is_stopped) AS has_plastic
  FROM pan_tokens AS t JOIN cards AS c USING (account_id, card_id)
 WHERE t.pan_token = $1
"""
ACCOUNT = """
SELECT status, posted_minor, held_minor, credit_limit_minor,
       posted_minor + credit_limit_minor - held_minor AS available_minor
  FROM accounts WHERE account_id = $1 FOR UPDATE
"""
REPEAT = """
SELECT o.reason, o.authorization_code
  FROM message_keys AS k JOIN authorizations AS o USING (account_id, authorization_id, received_at)
 WHERE k.account_id = $1 AND k.message_key = $2
"""
RECORD = """
WITH decided AS (
    INSERT INTO authorizations (
        account_id, authorization_id, received_at, card_id, link, scheme, mti, message_key, stan,
        transmission_datetime, rrn, acquirer, terminal, merchant, merchant_name, mcc, country,
        entry_mode, processing_code, kind, channel, transaction_minor, transaction_currency,
        amount_minor, cash_minor, reason, authorization_code, available_minor, standing_minor,
        using_minor, findings)
    VALUES (
        $1, nextval('authorization_ids'), clock_timestamp(), $2, 'textbook', 'demo', '0100', $3,
        $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'purchase', 'stripe', $15, $16, $15, 0,
        $17, $18, $19, $20, $20, $21)
    RETURNING account_id, authorization_id, received_at, message_key, card_id, reason
), keyed AS (
    INSERT INTO message_keys (account_id, message_key, authorization_id, received_at)
    SELECT account_id, message_key, authorization_id, received_at FROM decided
), told AS (
    INSERT INTO events (
        account_id, occurred_at, type, card_id, authorization_id, received_at, posted_change_minor,
        held_change_minor, posted_minor, held_minor, credit_limit_minor)
    SELECT account_id, received_at,
           CASE WHEN reason IS NULL THEN 'authorization.approved'
                ELSE 'authorization.declined' END,
           card_id, authorization_id, received_at, CASE WHEN $20 > 0 THEN 0 END,
           nullif($20, 0), CASE WHEN $20 > 0 THEN $22::bigint END,
           CASE WHEN $20 > 0 THEN $23::bigint END, CASE WHEN $20 > 0 THEN $24::bigint END
      FROM decided
)
INSERT INTO holds (
    account_id, purchase_id, authorization_id, received_at, amount_minor, state, expires_at)
SELECT account_id, authorization_id, authorization_id, received_at, $20, 'open',
       received_at + interval '7 days'
  FROM decided WHERE $20 > 0
"""
CHARGE = "UPDATE accounts SET held_minor = held_minor + $2 WHERE account_id = $1"

#: Why not, and DE39.
CODES = {
    None: "00", "no_card_record": "14", "lost": "41", "stolen": "43", "blocked": "62",
    "inactive": "78", "closed": "46", "account_closed": "46", "card_expired": "54",
    "card_code_mismatch": "82", "not_permitted": "57", "insufficient_funds": "51",
}  # fmt: skip


class Textbook:
    """One message after the other, each in a transaction of its own."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        keys = load_keys(packaged_key_file("keys.toml"), read_kbpk(packaged_key_file("kbpk.dev")))
        self._pool = pool
        self._hsm = SoftwareHsm(keys)
        self._cvk = KeyRef(**read_program().program["settings"]["keys"]["card_code"])
        self._vault = Vault(LocalDataKeys(keys["pan_token"], keys["pan_data"]))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes on one connection, each message when it is decided."""
        working = set()
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                payload = await reader.readexactly(size)
                task = asyncio.create_task(self._answer(payload, writer))
                working.add(task)
                task.add_done_callback(working.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, payload: bytes, writer: asyncio.StreamWriter) -> None:
        fields, _ = iso8583.decode(payload, CODEC)
        reason, code = await self._decide(fields)
        reply = {number: fields[number] for number in ECHOED}
        reply |= {"t": "0110", "39": CODES[reason]}
        if code is not None:
            reply["38"] = code
        answer, _ = iso8583.encode(reply, CODEC)
        writer.write(len(answer).to_bytes(2, "big") + answer)

    async def _decide(self, fields: Mapping[str, str]) -> tuple[str | None, str | None]:
        """Why not, or nothing and the authorization code; committed."""
        token = self._vault.pan_token(fields["2"])
        key = hashlib.sha256("|".join(fields[name] for name in KEY).encode()).digest()[:16]
        minor = int(fields["4"])
        async with self._pool.acquire() as connection, connection.transaction():
            card = await connection.fetchrow(CARD, token, fields["14"])
            if card is None:
                return "no_card_record", None
            verdict = await self._verified(fields)
            account = await connection.fetchrow(ACCOUNT, card["account_id"])
            assert account is not None
            if repeat := await connection.fetchrow(REPEAT, card["account_id"], key):
                return repeat["reason"], repeat["authorization_code"]
            reason = _refusal(fields, card, account, verdict)
            code = None if reason else f"{random.randrange(1_000_000):06d}"
            held = 0 if reason else minor
            await connection.execute(
                RECORD, card["account_id"], card["card_id"], key, fields["11"], fields["7"],
                fields["37"], fields["32"], fields["41"], fields["42"], fields["43"], fields["18"],
                fields["19"], fields["22"], fields["3"], minor, fields["49"], reason, code,
                account["available_minor"] - held, held, f"track_code={verdict.value}",
                account["posted_minor"], account["held_minor"] + held,
                account["credit_limit_minor"],
            )  # fmt: skip
            if held:
                await connection.execute(CHARGE, card["account_id"], held)
        return reason, code

    async def _verified(self, fields: Mapping[str, str]) -> Verdict:
        _, _, data = fields["35"].partition("=")
        return await self._hsm.verify_card_code(
            self._cvk, CardVerificationValue(data[:4], data[4:7]), pan=fields["2"], code=data[12:15]
        )


def _refusal(
    fields: Mapping[str, str], card: asyncpg.Record, account: asyncpg.Record, verdict: Verdict
) -> str | None:
    """The first reason not to approve, in policy order."""
    countries = card["countries_allowed"]
    if card["status"] != "active":
        return str(card["status"])
    if account["status"] != "open":
        return "account_closed"
    if not card["has_plastic"]:
        return "card_expired"
    if verdict is not Verdict.MATCH:
        return "card_code_mismatch"
    if (
        "stripe" in card["channels_blocked"]
        or fields["18"] in card["mcc_blocked"]
        or (countries is not None and fields["19"] not in countries)
    ):
        return "not_permitted"
    if int(fields["4"]) > account["available_minor"]:
        return "insufficient_funds"
    return None


async def _keep(_: asyncpg.Connection) -> None:
    """Nothing is set on a connection, so that nothing is to be reset: a round trip less."""


async def serve(url: str, port: int, connections: int) -> None:
    """Listen until the process is stopped."""
    async with asyncpg.create_pool(
        url,
        min_size=connections,
        max_size=connections,
        reset=_keep,
        server_settings=SESSION | {"application_name": "textbook"},
    ) as pool:
        server = await asyncio.start_server(Textbook(pool).serve, HOST, port)
        await server.serve_forever()


@click.command()
@click.option("--url", required=True)
@click.option("--port", type=int, required=True)
@click.option("--connections", type=click.IntRange(1), required=True, help="Of the pool.")
def main(url: str, port: int, connections: int) -> None:
    """Serve the textbook's decision: the bench starts this."""
    uvloop.run(serve(url, port, connections))


if __name__ == "__main__":
    main()
