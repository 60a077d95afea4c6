"""The vault's keys: new ones, and bringing the cards under them."""

from __future__ import annotations

import contextlib
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping

import click

from keys.keyfile import KeyEntry, is_development, read_kbpk
from keys.kms import Kms, answered
from keys.software.key import AES, HMAC, check_values
from keys.software.keyblock import Header, KeyBlockError, wrap
from keys.vault import KEY_SIZE
from switch import prepare
from switch.commands.base import Refusal, to_the_end
from switch.commands.keys_group import keys_group
from switch.commands.operator import TOLD_EVERY, at_desk, changing, checked, looking, vault_of
from switch.ledger.operators import Actor, Operators
from switch.ledger.retokenize import retokenize as retokenize_cards
from switch.operate.issuing_values import ValueProblem
from switch.settings import Settings

#: By kind: usage, algorithm, mode of use and optional blocks of TR-31, and what it is for. The hash
#: of an HMAC key is bound to it: 21 is SHA-256 (X9.143, table 13).
_KINDS: Mapping[str, tuple[str, str, str, tuple[tuple[str, str], ...], str]] = {
    "data": ("D0", AES, "B", (), "PAN ciphertext"),
    "token": ("M7", HMAC, "C", (("HM", "21"),), "PAN token"),
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_VERSION = re.compile(r"[0-9]{2}", re.ASCII)
#: A key's id, ARN or alias, as AWS allows them.
_KMS_KEY = re.compile(r"[A-Za-z0-9:/_-]{1,256}", re.ASCII)


def _matching(pattern: re.Pattern[str], problem: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueProblem(problem)
        return text

    return read


@keys_group.command("vault-generate")
@click.argument("name", callback=checked(_matching(_NAME, "must be letters, digits, '_' and '-'")))
@click.option("--kind", type=click.Choice(tuple(_KINDS)), required=True,
              help="data: encrypts PANs; token: makes their tokens.")  # fmt: skip
@click.option("--version", required=True, callback=checked(_matching(_VERSION, "must be 00 to 99")),
              help="Two digits. The highest one is used for what is written.")  # fmt: skip
@click.option("--kms-key", callback=checked(_matching(_KMS_KEY, "must be an id, ARN or alias")),
              help="Wrap it by this key of AWS KMS: id, ARN or alias.")  # fmt: skip
@looking
def vault_generate(
    settings: Settings, name: str, kind: str, version: str, kms_key: str | None
) -> None:
    """Make a key for the vault, and print its table for the key file.

    With --kms-key it is wrapped by AWS KMS, without one it is a TR-31 block under the key block
    protection key of the settings. The key itself is never shown. docs/vault.md has what to do
    with it.

    Example: switch keys vault-generate pan_data_02 --kind data --version 02 --kms-key alias/vault
    """
    usage, algorithm, _, _, purpose = _KINDS[kind]
    if kms_key is None:
        block, kcv = _block(settings, kind, version)
        lines = [f'block = "{block}"']
    else:
        blob, kcv = _wrapped_by_kms(settings, name, usage, version, kms_key)
        lines = [f'kms = "{blob}"']
        lines += [f'usage = "{usage}"', f'algorithm = "{algorithm}"', f'version = "{version}"']
    lines += [f'kcv = "{kcv}"', f'note = "{purpose}, version {int(version)}"']
    click.echo("\n".join([f"[{name}]", *lines]))


def _block(settings: Settings, kind: str, version: str) -> tuple[str, str]:
    """A new key as a key block, and its check value."""
    usage, algorithm, mode_of_use, optional, _ = _KINDS[kind]
    try:
        kbpk = read_kbpk(settings.hsm.kbpk_file)
    except prepare.REFUSALS as error:
        raise Refusal(str(error)) from None
    if settings.hsm.production and is_development(kbpk):
        problem = "is a published development key: not in production"
        raise Refusal(str(settings.refusal("hsm.kbpk_file", problem)))
    header = Header("D", usage, algorithm, mode_of_use, version, optional=optional)
    material = secrets.token_bytes(KEY_SIZE)
    try:
        block = wrap(kbpk.material, header, material)
    except KeyBlockError as error:
        raise Refusal(f"{settings.hsm.kbpk_file}: {error}") from None
    return block, min(check_values(algorithm, material), key=len)


def _wrapped_by_kms(
    settings: Settings, name: str, usage: str, version: str, kms_key: str
) -> tuple[str, str]:
    """A new key as KMS wraps it, and its check value."""
    kms = Kms(region=settings.vault.kms_region, endpoint_url=settings.vault.kms_endpoint_url)

    async def work() -> tuple[str, str]:
        return await answered(name, lambda: kms.generate(name, usage, version, kms_key=kms_key))

    try:
        made: tuple[str, str] = to_the_end(work())
    finally:
        kms.close()
    return made


@keys_group.command()
@changing
def retokenize(settings: Settings, actor: Actor) -> None:
    """Bring all cards under the newest token key and the newest data key of the vault.

    It works beside running switches, which must all have the old keys and the new ones. A run
    that was stopped is begun again and goes on where it was. No balance, no message and no
    history is touched: what was sent before is known again afterwards.

    Example: switch keys retokenize --reason "yearly rotation"
    """
    vault = vault_of(settings)
    with _progress() as tell:

        async def work(desk: Operators) -> int:
            return await retokenize_cards(desk.connection, actor, vault, progress=tell)

        done = at_desk(settings, work, vault=vault)
    entries = prepare.read_keys(settings)
    token, *old_tokens = _by_version(entries, settings.vault.token_keys)
    data, *old_data = _by_version(entries, settings.vault.data_keys)
    click.echo(
        f"{done} cards are brought under {token} and {data}"
        if done
        else f"all cards are under {token} and {data} already: nothing is changed"
    )
    for names, setting in ((old_tokens, "token_keys"), (old_data, "data_keys")):
        if names:
            click.echo(f"{', '.join(names)} may be removed from vault.{setting}")


def _by_version(entries: Mapping[str, KeyEntry], names: tuple[str, ...]) -> list[str]:
    """The newest first."""
    return sorted(names, key=lambda name: int(entries[name].version), reverse=True)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """How far it is: a bar on a terminal, else a line now and then."""
    is_seen = sys.stderr.isatty()
    told = 0
    with click.progressbar(
        length=1, label="cards", file=sys.stderr, hidden=not is_seen, update_min_steps=1_000
    ) as bar:

        def tell(done: int, of_all: int) -> None:
            nonlocal told
            bar.length = of_all
            bar.update(done - bar.pos)
            if not is_seen and (done - told >= TOLD_EVERY or done == of_all > told):
                told = done
                click.echo(f"cards: {done} of {of_all}", err=True)

        yield tell
