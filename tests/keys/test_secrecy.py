"""No error says a PAN, a PIN, a card code or a key, whatever it was raised for."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable

from hypothesis import given, settings
from hypothesis import strategies as st

from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Cvc3,
    DynamicCvv,
    HsmRejected,
    Ibm3624,
    KeyRef,
    PinBlockFormat,
    SessionKeyDerivation,
    VisaPvv,
)
from keys.keyfile import Kbpk, KeyFileError, load, read_kbpk
from keys.software.backend import SoftwareHsm
from keys.vault import LocalDataKeys, Vault, VaultError
from tests.keys.support import DEVELOPMENT, make_key

KEYS = load(DEVELOPMENT / "keys.toml", read_kbpk(DEVELOPMENT / "kbpk.dev")) | {
    "imk_dcvv": make_key("E6", "8C6DA2B5E3F4016B7A9D4C2F1E0B8573"),
    "imk_cvc3": make_key("E4", "64CE98A1B3D5F70216385A7C9EB0D2F4"),
}
HSM = SoftwareHsm(KEYS, emv_2000=True)
VAULT = Vault(LocalDataKeys(KEYS["pan_token"], KEYS["pan_data"]))
REFS = {name: KeyRef(name, key.kcv) for name, key in KEYS.items()}

#: Something wrong around digits that can be found again in a text.
marked = st.builds(
    "{}{}{}".format, st.just("7319"), st.text(max_size=16), st.sampled_from(["9137", "913755"])
)
values = st.one_of(marked, st.just("4761739000000012"))
several = settings(max_examples=60, deadline=None)


async def silent(question: Awaitable[object], *secrets: str) -> None:
    """Ask; a refusal is allowed, another error is not, and neither may say a secret."""
    try:
        await question
    except HsmRejected as error:
        assert_silent(error, *secrets)


def assert_silent(error: BaseException, *secrets: str) -> None:
    """Nothing of an error, its causes and its lines of code has a secret in it."""
    said = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)
    keys = [key.material.hex() for key in KEYS.values()]
    assert not [secret for secret in (*secrets, *keys) if secret.lower() in said.lower()]


@several
@given(pan=values, expiry=values, service_code=values, code=values)
async def test_card_code_questions_are_silent(
    pan: str, expiry: str, service_code: str, code: str
) -> None:
    """A card code question of any text is answered or refused, and says nothing of it."""
    await silent(
        HSM.verify_card_code(
            REFS["cvk"], CardVerificationValue(expiry, service_code), pan=pan, code=code
        ),
        pan, expiry, service_code, code,
    )  # fmt: skip


@several
@given(
    pan=values,
    words=st.tuples(values, values, values),
    atc=st.binary(max_size=3),
    number=st.binary(max_size=5),
    track=marked,
    code=values,
)
async def test_dynamic_code_questions_are_silent(
    pan: str, words: tuple[str, str, str], atc: bytes, number: bytes, track: str, code: str
) -> None:
    """A dynamic card code of any text and bytes is answered or refused, and says nothing of it."""
    for name, of in (
        ("imk_dcvv", DynamicCvv(*words, atc=atc.hex())),
        ("imk_cvc3", Cvc3("01", atc, number, track.encode())),
    ):
        question = HSM.verify_card_code(REFS[name], of, pan=pan, code=code)
        await silent(question, pan, *words, track, code)


@several
@given(
    pan=values,
    secret=values,
    account=values,
    block=st.binary(max_size=17),
    pin_block_format=st.sampled_from(PinBlockFormat),
    ibm=st.booleans(),
)
async def test_pin_questions_are_silent(
    pan: str,
    secret: str,
    account: str,
    block: bytes,
    pin_block_format: PinBlockFormat,
    ibm: bool,
) -> None:
    """A PIN question of any text and bytes is answered or refused, and says nothing of them."""
    zone = REFS["zpk_aes" if pin_block_format is PinBlockFormat.ISO_4 else "zpk"]
    reference = (
        Ibm3624(REFS["pvk_ibm"], secret, "0123456789012345", account)
        if ibm
        else VisaPvv(REFS["pvk"], "1", secret)
    )
    await silent(
        HSM.verify_pin(
            reference,
            zone_key=zone,
            pin_block=block,
            pin_block_format=pin_block_format,
            pan=pan,
        ),
        pan, secret, account,
    )  # fmt: skip
    await silent(
        HSM.translate_pin(
            from_key=zone,
            from_format=pin_block_format,
            to_key=REFS["zpk"],
            to_format=PinBlockFormat.ISO_0,
            pin_block=block,
            pan=pan,
        ),
        pan,
    )


@several
@given(
    pan=values,
    pan_sequence_number=values,
    atc=st.binary(max_size=3),
    data=st.binary(max_size=24),
    arqc=st.binary(max_size=9),
    arpc_data=st.binary(max_size=13),
    number=st.binary(max_size=5),
    option=st.sampled_from(CardKeyDerivation),
    session_key=st.sampled_from(SessionKeyDerivation),
    method=st.sampled_from(ArpcMethod),
)
async def test_cryptogram_questions_are_silent(
    pan: str,
    pan_sequence_number: str,
    atc: bytes,
    data: bytes,
    arqc: bytes,
    arpc_data: bytes,
    number: bytes,
    option: CardKeyDerivation,
    session_key: SessionKeyDerivation,
    method: ArpcMethod,
) -> None:
    """A cryptogram question of any text and bytes is answered or refused, and says nothing."""
    scheme = CryptogramScheme(option, session_key, method)
    await silent(
        HSM.verify_arqc(
            REFS["imk_ac"],
            Cryptogram(scheme, pan, pan_sequence_number, atc, data, arqc, number),
            arpc_data=arpc_data,
        ),
        pan, pan_sequence_number,
    )  # fmt: skip


@several
@given(pan=marked, sealed=st.binary(max_size=60))
def test_the_vault_is_silent(pan: str, sealed: bytes) -> None:
    """The vault refuses what is no PAN and no ciphertext of its own, and says nothing of it."""
    for ask in (
        lambda: VAULT.pan_token(pan),
        lambda: VAULT.seal(pan, context=b""),
        lambda: VAULT.open(b"\x01" + sealed, context=b""),
    ):
        try:
            ask()
        except VaultError as error:
            assert_silent(error, pan)


def test_a_key_file_is_silent() -> None:
    """A key file that does not unwrap says its name, and nothing of block or protection key."""
    try:
        load(DEVELOPMENT / "keys.toml", Kbpk(b"\x5a" * 32))
    except KeyFileError as error:
        assert_silent(error, "5a" * 32, "D0112C0TV00N0000")
    else:
        raise AssertionError("a key file was read under another protection key")


def test_what_holds_keys_does_not_show_them() -> None:
    """The text of backends, vaults and prepared keys has no key in it."""
    shown = f"{HSM!r} {VAULT!r} {KEYS!r} {vars(HSM)!r}".lower()
    assert not [name for name, key in KEYS.items() if key.material.hex() in shown]
    assert not [name for name, key in KEYS.items() if repr(key.material).lower() in shown]
