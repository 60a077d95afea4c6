"""Cards are brought under new keys: all of them, beside everybody else, wherever it is stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from keys.vault import Vault, VaultError
from switch import prepare
from switch.ledger import retokenize as module
from switch.ledger.migrate import MIGRATIONS, migrate
from switch.ledger.operator_views import find_card
from switch.ledger.operators import OperatorRefusal, operators
from switch.ledger.queries import QUERIES
from switch.ledger.retokenize import retokenize
from tests.ledger.operating import ALICE
from tests.ledger.rotating import BOTH, NEW, OLD, issue, rotate, vault, versions
from tests.ledger.support import Books, ask, authorize, ledger_on, within
from tests.process import eventually

CARDS = 12


@pytest_asyncio.fixture
async def books(database: str) -> AsyncIterator[Books]:
    """A database of the test's own: everything in it is brought under new keys."""
    books = await Books.open(database)
    yield books
    await books.connection.close()


async def rows(books: Books) -> list[asyncpg.Record]:
    """Every card with its token and its sealed PAN, by number."""
    found: list[asyncpg.Record] = await books.connection.fetch(
        "SELECT * FROM pan_tokens JOIN cards USING (account_id, card_id) ORDER BY card_id"
    )
    return found


async def acts(books: Books) -> list[tuple[str, dict[str, int]]]:
    """What is recorded, oldest first."""
    found = await books.connection.fetch("SELECT * FROM operator_actions ORDER BY action_id")
    assert {("alice", None, None)} >= {
        (row["operator"], row["account_id"], row["card_id"]) for row in found
    }
    return [(row["action"], json.loads(row["details"])["became"]) for row in found]


@pytest.mark.parametrize("is_of_before", [False, True])
async def test_every_card_gets_its_new_token(books: Books, is_of_before: bool) -> None:
    """Its PAN opens under the new token alone; what its messages are known by stays."""
    pans = [(await issue(books, is_of_before=is_of_before))[1] for _ in range(CARDS)]
    before = await rows(books)
    told: list[tuple[int, int]] = []
    assert CARDS == await rotate(books, batch=5, progress=lambda *how: told.append(how))
    assert [(5, CARDS), (10, CARDS), (12, CARDS)] == told
    after = await rows(books)
    for pan, was, now in zip(pans, before, after, strict=True):
        assert (NEW.pan_token(pan), 2) == (now["pan_token"], now["token_version"])
        assert pan == NEW.open(now["pan_ciphertext"], context=now["pan_token"])
        assert now["key_token"] == (was["key_token"] or was["pan_token"])
        assert was["key_token"] is None if is_of_before else len(was["key_token"]) == 16
        with pytest.raises(VaultError):
            OLD.open(now["pan_ciphertext"], context=was["pan_token"])
        changed = {"pan_token", "token_version", "pan_ciphertext", "key_token"}
        unchanged = set(was.keys()) - changed
        assert {name: was[name] for name in unchanged} == {name: now[name] for name in unchanged}
    about = {"token_version": 2, "data_version": 2}
    assert [
        ("retokenize_begun", about | {"left": CARDS}), ("retokenize", about | {"cards": CARDS}),
    ] == await acts(books)  # fmt: skip


async def test_where_nothing_is_to_be_done(books: Books) -> None:
    """A second run changes nothing and records nothing; so does one over an empty database."""
    assert 0 == await rotate(books)
    await issue(books)
    await rotate(books)
    before = await rows(books), await acts(books)
    assert 0 == await rotate(books)
    assert before == (await rows(books), await acts(books))


async def test_a_data_key_alone(books: Books) -> None:
    """Under a new data key the PANs are sealed anew; tokens stay, and so does what they are."""
    _, pan = await issue(books)
    (before,) = await rows(books)
    both = vault(1, data=(1, 2))
    assert 1 == await rotate(books, both)
    (after,) = await rows(books)
    assert {(1, 2)} == await versions(books)
    for name in ("pan_token", "key_token", "token_version"):
        assert before[name] == after[name]
    assert pan == vault(1, data=(2,)).open(after["pan_ciphertext"], context=after["pan_token"])


async def test_a_token_key_alone(books: Books) -> None:
    """A new token needs its PAN sealed anew, under whichever data key is there."""
    _, pan = await issue(books)
    assert 1 == await rotate(books, vault(1, 2, data=(1,)))
    (after,) = await rows(books)
    assert {(2, 1)} == await versions(books)
    assert pan == vault(2, data=(1,)).open(after["pan_ciphertext"], context=after["pan_token"])


async def test_a_second_rotation(books: Books) -> None:
    """What messages are known by outlives the third key, too."""
    await issue(books, is_of_before=True)
    (before,) = await rows(books)
    await rotate(books)
    await rotate(books, vault(2, 3))
    (after,) = await rows(books)
    assert (3, before["pan_token"]) == (after["token_version"], after["key_token"])


async def test_who_finds_a_card_when(books: Books, database: str, tmp_path: Path) -> None:
    """Before it who has the old key, at every moment who has both, after it who has the new one."""
    pans = [(await issue(books))[1] for _ in range(4)]

    async def found(keys: Vault) -> list[bool]:
        cards = [await ledger.find_card(keys.lookup_tokens(pan), within(20.0)) for pan in pans]
        for pan, card in zip(pans, cards, strict=True):
            if card is not None:
                place = await find_card(books.connection, keys.lookup_tokens(pan))
                assert (card.account_id, card.card_id) == place
        return [card is not None for card in cards]

    async with ledger_on(database, tmp_path / "journal") as ledger:
        assert [4, 4, 0] == [sum(await found(keys)) for keys in (OLD, BOTH, NEW)]
        async with books.connection.transaction():
            other = await asyncpg.connect(database)
            await books.connection.execute("SELECT FROM cards ORDER BY card_id LIMIT 2 FOR UPDATE")
            working = asyncio.create_task(retokenize(other, ALICE, BOTH, progress=lambda *_: None))

            async def is_half_way() -> bool:
                return sum(await found(NEW)) == 2

            await eventually(is_half_way)
            assert [[True, True, False, False], [True] * 4, [False, False, True, True]] == [
                await found(keys) for keys in (OLD, BOTH, NEW)
            ]
        assert 4 == await working
        await other.close()
        assert [0, 4, 4] == [sum(await found(keys)) for keys in (OLD, BOTH, NEW)]


async def test_no_card_is_lost_meanwhile(books: Books, database: str, tmp_path: Path) -> None:
    """Whoever looks with both keys finds every card at every moment, and its account decides."""
    cards = [await issue(books) for _ in range(60)]
    other = await asyncpg.connect(database)
    async with ledger_on(database, tmp_path / "journal") as ledger:
        working = asyncio.create_task(
            retokenize(other, ALICE, BOTH, progress=lambda *_: None, batch=3)
        )
        looks = 0
        while not working.done():
            found = await asyncio.gather(
                *(ledger.find_card(BOTH.lookup_tokens(pan), within(20.0)) for _, pan in cards),
                *(authorize(ledger, ask(account_id, 1, pin_verdict="mismatch"))
                  for account_id, _ in cards[looks % 60 :: 20]),
            )  # fmt: skip
            assert None not in found
            looks += 1
        assert len(cards) == await working
    await other.close()
    assert looks > 1
    assert [] == await books.wrong_balances()


async def test_a_card_that_somebody_works_on(
    books: Books, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is waited for on the way; what stays in use is told in the end, and comes later."""
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    for _ in range(3):
        await issue(books)
    other = await asyncpg.connect(database)
    async with other.transaction():
        await other.execute("SELECT FROM cards ORDER BY card_id LIMIT 1 FOR NO KEY UPDATE")
        with pytest.raises(OperatorRefusal, match="in use for 0 s: 1: run it again"):
            await rotate(books)
    await other.close()
    assert {(1, 1), (2, 2)} == await versions(books)
    assert 1 == await rotate(books)
    assert {(2, 2)} == await versions(books)


async def test_one_at_a_time(books: Books, database: str) -> None:
    """A second one is refused while the first one works."""
    await issue(books)
    async with operators(database) as desk:
        await retokenize(desk.connection, ALICE, BOTH, progress=lambda *_: None)
        with pytest.raises(OperatorRefusal, match="another process retokenizes"):
            await rotate(books)


async def test_a_card_under_a_key_that_is_not_there(books: Books) -> None:
    """It is named by its number, and nothing of its batch is changed."""
    await issue(books, vault(1, data=(7,)))
    await issue(books)
    (first, _) = await rows(books)
    with pytest.raises(OperatorRefusal, match=f"^card {first['card_id']}: pan_ciphertext: not"):
        await rotate(books)
    assert {(1, 7), (1, 1)} == await versions(books)


async def test_a_pan_that_has_two_cards(books: Books) -> None:
    """A switch with other keys gave a PAN a second card: that is told, and neither is changed."""
    account_id, pan = await issue(books)
    other_id, _ = await issue(books)
    token = NEW.pan_token(pan)
    await books.connection.execute(
        "UPDATE pan_tokens SET pan_token = $1, token_version = 2 WHERE account_id = $2",
        token, other_id,
    )  # fmt: skip
    await books.connection.execute(
        "UPDATE cards SET pan_ciphertext = $1 WHERE account_id = $2",
        NEW.seal(pan, context=token), other_id,
    )  # fmt: skip
    before = await rows(books)
    with pytest.raises(OperatorRefusal, match=f"card {account_id}: another card has its PAN"):
        await rotate(books)
    assert before == await rows(books)


async def test_which_vault_fits(books: Books, database: str) -> None:
    """A start is refused whose keys do not find every card: half way, both are needed."""

    async def fits(*vaults: Vault) -> list[bool]:
        fit = []
        for one in vaults:
            try:
                await prepare.check_vault(database, one)
                fit.append(True)
            except prepare.StartError:
                fit.append(False)
        return fit

    foreign = vault(5)
    assert [True, True, True, True] == await fits(OLD, BOTH, NEW, foreign)  # no card yet
    for _ in range(2):
        await issue(books)
    assert [True, True, False, False] == await fits(OLD, BOTH, NEW, foreign)
    await issue(books, NEW)
    assert [False, True, False, False] == await fits(OLD, BOTH, NEW, foreign)
    assert 2 == await rotate(books)
    assert [False, True, True, False] == await fits(OLD, BOTH, NEW, foreign)
    assert [False, False] == await fits(vault(2, data=(1,)), vault(1, data=(1, 2)))


async def test_an_upgraded_database(raw_database: str, tmp_path: Path) -> None:
    """A card of before is known by the token that it has then; a new one by a value of its own."""
    before = tmp_path / "migrations"
    before.mkdir()
    for path in MIGRATIONS.glob("000[12]_*.sql"):
        (before / path.name).write_text(path.read_text())
    (tmp_path / "functions").mkdir()
    await migrate(raw_database, migrations=before, functions=tmp_path / "functions")
    connection = await asyncpg.connect(raw_database)
    token = OLD.pan_token("4761739000000012")
    await connection.execute("INSERT INTO pan_tokens VALUES ($1, 1, 7, 7)", token)
    await migrate(raw_database)
    books = await Books.open(raw_database)
    _, pan = await issue(books)
    found = await connection.fetch("SELECT pan_token, key_token FROM pan_tokens")
    known_by = {row["pan_token"]: row["key_token"] for row in found}
    assert known_by[token] is None
    assert 16 == len(known_by[OLD.pan_token(pan)])
    _, other = await issue(books)
    (one,) = await connection.fetch(QUERIES["find_cards"], [OLD.pan_token(pan)])
    (two,) = await connection.fetch(QUERIES["find_cards"], [OLD.pan_token(other)])
    assert one["key_token"] == known_by[OLD.pan_token(pan)] != two["key_token"]
    await books.connection.close()
    await connection.close()
