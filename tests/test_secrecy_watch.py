"""The watch over the whole suite finds what it looks for."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from keys.hsm import HsmRejected
from tests import secrecy
from tests.traffic import PLAIN


async def test_a_pan_in_a_table(database: str) -> None:
    """A PAN in a text, or in the bytes of a bytea, of any table is found before it is dropped."""
    connection = await asyncpg.connect(database)
    for column, value in (("text", f"a {PLAIN.pan}"), ("bytea", PLAIN.pan.encode())):
        await connection.execute(f"CREATE TABLE leak_{column} (value {column})")
        await connection.execute(f"INSERT INTO leak_{column} VALUES ($1)", value)
        with pytest.raises(secrecy.SecretFound, match=f"leak_{column} has a PAN"):
            await secrecy.check_database(database)
        await connection.execute(f"DROP TABLE leak_{column}")
    await secrecy.check_database(database)
    await connection.close()


def test_a_key_in_a_log(tmp_path: Path) -> None:
    """A key in a log is found."""
    (tmp_path / "stdout.log").write_text("A1C4E6B9D38F527A5E7C2FB0946D803E")
    with pytest.raises(secrecy.SecretFound, match=r"stdout\.log has a key"):
        secrecy.check_logs(tmp_path)


def test_a_pan_in_an_exception() -> None:
    """What an exception of ours says is remembered, whether anybody reads it or not."""
    before = set(secrecy.said)
    try:
        HsmRejected(f"pan {PLAIN.pan}")
        with pytest.raises(secrecy.SecretFound, match="exception has a PAN"):
            secrecy.check_exceptions()
    finally:
        secrecy.said &= before
    secrecy.check_exceptions()
