"""What opening finds out: a token and keys that are not what the settings and the key file say."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Mapping
from typing import Any

import psec
import pytest
from pkcs11 import Attribute, KeyType, Mechanism

from keys.hsm import CardVerificationValue, HsmRejected, HsmUnavailable, KeyRef, Verdict
from keys.keyfile import Key, KeyEntry
from keys.pkcs11 import Pkcs11Hsm
from keys.pkcs11.load import half_of, key_template
from keys.pkcs11.token import offered_mechanisms
from keys.software.key import HMAC, TDES
from tests.contract.keys import KEYS, REFS
from tests.hsm_pkcs11 import softhsm

_numbers = itertools.count()


def fresh_label() -> str:
    """A label that no key of the odd token has yet."""
    return f"odd-{next(_numbers)}"


def put(label: str, key: Key, changed: Mapping[Attribute, Any] | None = None) -> None:
    """Create a key in the odd token, some of its attributes changed."""
    with softhsm.raw_session(softhsm.ODD) as session:
        session.create_object(key_template(label, key) | dict(changed or {}))


async def refusal(listed: Mapping[str, KeyEntry]) -> str:
    """What opening over these entries refuses, in one line."""
    backend = softhsm.hsm(token=softhsm.ODD, listed=listed)
    with pytest.raises(HsmRejected) as caught:
        await backend.open()
    assert "\n" not in str(caught.value)
    return str(caught.value)


#: what is wrong with a key of its own object, and the words that say so
WRONG = [
    ("mak_1",    {Attribute.EXTRACTABLE: True},  "CKA_EXTRACTABLE must be false"),
    ("mak_1",    {Attribute.SENSITIVE: False},   "CKA_SENSITIVE must be true"),
    ("mak_1",    {Attribute.PRIVATE: False},     "CKA_PRIVATE must be true"),
    ("mak_1",    {Attribute.ENCRYPT: False},     "CKA_ENCRYPT must be true"),
    ("imk_ac",   {Attribute.DERIVE: False},      "CKA_DERIVE must be true"),
    ("mak_aes",  {Attribute.SIGN: False},        "CKA_SIGN must be true"),
    ("mak_tdes", {Attribute.SIGN: False},        "CKA_SIGN must be true"),
    ("mak_tdes", {Attribute.KEY_TYPE: KeyType.AES}, "CKA_KEY_TYPE must be CKK_DES2 or CKK_DES3"),
    ("mak_aes",  {Attribute.KEY_TYPE: KeyType.DES2}, "CKA_KEY_TYPE must be CKK_AES"),
    ("imk_ac",   {Attribute.KEY_TYPE: KeyType.AES}, "CKA_KEY_TYPE must be CKK_DES2 or CKK_DES3"),
    ("mak_1",    {Attribute.LABEL: "elsewhere"}, "no key has the label"),
    ("mak_1",    {Attribute.VALUE: bytes(range(16))}, "its check value is "),
    ("mak_aes",  {Attribute.VALUE: bytes(range(16))}, "its check value is "),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changed", "words"), WRONG)
async def test_a_key_that_is_not_as_it_must_be_refuses_the_start(
    name: str, changed: dict[Attribute, Any], words: str
) -> None:
    """A key that could be read, cannot do its work or is another is named, and nothing starts."""
    label = fresh_label()
    put(label, KEYS[name], changed)
    refused = await refusal({name: softhsm.entry(name, KEYS[name], label=label)})
    assert f"key '{name}': " in refused
    assert words in refused


#: usage's key and the mechanisms that it needs
NEEDED = [
    ("cvk",      {Mechanism.DES3_ECB}),
    ("mak_1",    {Mechanism.DES3_ECB, Mechanism.DES3_CBC}),
    ("zak",      {Mechanism.DES3_ECB, Mechanism.DES3_CBC}),
    ("mak_tdes", {Mechanism.DES3_ECB, Mechanism.DES3_CMAC}),
    ("mak_aes",  {Mechanism.AES_CMAC}),
    ("imk_ac",   {Mechanism.DES3_ECB, Mechanism.DES3_CBC, Mechanism.DES3_ECB_ENCRYPT_DATA}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "needed"), NEEDED)
async def test_a_token_that_cannot_use_a_key_refuses_the_start(
    name: str, needed: set[Mechanism], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mechanism that the token has not is missed at start, not at the first cardholder."""
    with softhsm.raw_session(softhsm.FULL) as session:
        offered = offered_mechanisms(session)
    assert needed <= offered
    listed = softhsm.entries({name: KEYS[name]})
    for without in needed:
        less = offered - {without}
        monkeypatch.setattr("keys.pkcs11.token.offered_mechanisms", lambda _, less=less: less)
        with pytest.raises(HsmRejected, match=rf"key '{name}': .* no CKM_{without.name}$"):
            await softhsm.hsm(listed=listed).open()
    monkeypatch.setattr("keys.pkcs11.token.offered_mechanisms", lambda _: needed)
    backend = softhsm.hsm(listed=listed)
    await backend.open()
    await backend.close()


async def test_another_check_value_refuses_the_start() -> None:
    """A pinned check value that the key in the token has not is told with the one that it has."""
    label = fresh_label()
    put(label, KEYS["mak_1"])
    listed = {"mak_1": softhsm.entry("mak_1", KEYS["mak_1"], label=label, kcv="123456")}
    kcv = KEYS["mak_1"].kcv
    assert f"key 'mak_1': its check value is {kcv}, but 123456 is pinned" == await refusal(listed)


async def test_two_keys_of_one_label_refuse_the_start() -> None:
    """A label that two objects have does not say which is meant."""
    label = fresh_label()
    put(label, KEYS["mak_1"])
    put(label, KEYS["mak_1"])
    listed = {"mak_1": softhsm.entry("mak_1", KEYS["mak_1"], label=label)}
    assert "several keys have the label" in await refusal(listed)


async def test_a_wrong_half_refuses_the_start() -> None:
    """The first half of a CVK has its own check value, so that a wrong one is found too."""
    label = fresh_label()
    listed = {
        "cvk": softhsm.entry("cvk", KEYS["cvk"], label=label),
        "half": softhsm.entry("half", half_of(KEYS["cvk"]), label=f"{label}.k1"),
    }
    put(label, KEYS["cvk"])
    assert "key 'half': no key has the label" in await refusal(listed)
    put(f"{label}.k1", half_of(KEYS["zak"]))
    assert "key 'half': its check value is " in await refusal(listed)


def test_a_half_without_check_value_is_refused() -> None:
    """A CVK whose half does not stand in the key file cannot be used."""
    with pytest.raises(HsmRejected, match=r"key 'cvk': .* 'cvk\.k1' too: its first half"):
        softhsm.hsm(listed={"cvk": softhsm.entry("cvk", KEYS["cvk"])})


def test_entries_that_no_token_can_hold_are_refused() -> None:
    """HMAC keys, and two keys of one label, are refused before anything is opened."""
    secret = Key(bytes(32), usage="M7", algorithm=HMAC, mode_of_use="C")
    with pytest.raises(HsmRejected, match="key 'token': algorithm H"):
        softhsm.hsm(listed={"token": softhsm.entry("token", secret)})
    twice = {name: softhsm.entry(name, KEYS[name], label="same") for name in ("imk_ac", "mak_tdes")}
    with pytest.raises(HsmRejected, match="key 'mak_tdes': 'imk_ac' has the same label"):
        softhsm.hsm(listed=twice)


async def test_keys_with_other_places_are_left_alone() -> None:
    """A key of the key file that has no label is not looked for."""
    elsewhere = KeyEntry("zpk", "000000", "P0", TDES, "00", {"aws": "alias/zpk"})
    backend = softhsm.hsm(token=softhsm.ODD, listed={"zpk": elsewhere})
    await backend.open()
    await backend.ping()
    with pytest.raises(HsmRejected, match="zpk"):
        backend.check(KeyRef("zpk", "000000"), "P0")
    await backend.close()


async def test_keys_are_checked_by_name_check_value_and_usage(hsm: Pkcs11Hsm) -> None:
    """Once opened, every key answers for its usage, and for no other name or check value."""
    for name, key in KEYS.items():
        hsm.check(REFS[name], "K1", key.usage)
        with pytest.raises(HsmRejected, match=f"key '{name}': is {key.usage}, not B0 or K1"):
            hsm.check(REFS[name], "B0", "K1")
        with pytest.raises(HsmRejected, match="its check value is not the pinned one"):
            hsm.check(KeyRef(name, "000000"), key.usage)


async def test_a_token_without_des2_holds_keys_of_double_length() -> None:
    """A CVK may stand as K1‖K2‖K1 and its half as K1‖K1‖K1, for tokens that know no CKK_DES2."""
    label, cvk = fresh_label(), KEYS["cvk"].material
    first, second = cvk[:8], cvk[8:]
    triple = {Attribute.KEY_TYPE: KeyType.DES3}
    put(label, KEYS["cvk"], {**triple, Attribute.VALUE: first + second + first})
    put(f"{label}.k1", half_of(KEYS["cvk"]), {**triple, Attribute.VALUE: first * 3})
    listed = {
        "cvk": softhsm.entry("cvk", KEYS["cvk"], label=label),
        "half": softhsm.entry("half", half_of(KEYS["cvk"]), label=f"{label}.k1"),
    }
    backend = softhsm.hsm(token=softhsm.ODD, listed=listed)
    await backend.open()
    pan = "4761739000000012"
    code = psec.cvv.generate_cvv(cvk, pan, "3012", "201")
    assert Verdict.MATCH is await backend.verify_card_code(
        REFS["cvk"], CardVerificationValue("3012", "201"), pan=pan, code=code
    )
    await backend.close()


async def test_an_aes_check_value_may_have_ten_digits() -> None:
    """Of an AES key six or ten digits of the check value may be pinned."""
    label = fresh_label()
    put(label, KEYS["mak_aes"])
    long = max(KEYS["mak_aes"].check_values, key=len)
    assert 10 == len(long)
    listed = {"mak_aes": softhsm.entry("mak_aes", KEYS["mak_aes"], label=label, kcv=long)}
    backend = softhsm.hsm(token=softhsm.ODD, listed=listed)
    await backend.open()
    backend.check(KeyRef("mak_aes", long), "M6")
    backend.check(KeyRef("mak_aes", long[:6]), "M6")
    await backend.close()


async def test_a_wrong_pin_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PIN that the token refused is not tried again, not even by opening again."""
    backend = softhsm.hsm(token=softhsm.ODD, pin="161803", sessions=4)
    calls = softhsm.calls()
    login, tried = calls.login, []

    def counted(session: int, pin: str) -> None:
        tried.append(1)
        login(session, pin)

    monkeypatch.setattr(calls, "login", counted)
    for _ in range(2):
        with pytest.raises(HsmRejected, match="refuses the user PIN: CKR_PIN_INCORRECT"):
            await backend.open()
    assert [1] == tried


async def test_a_refused_pin_is_not_told() -> None:
    """Neither the exception with its whole traceback nor the backend's parts show the PIN."""
    backend = softhsm.hsm(token=softhsm.ODD, pin="161803")
    with pytest.raises(HsmRejected) as caught:
        await backend.open()
    told = "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None
    assert "161803" not in told + repr(backend) + repr(vars(backend))


async def test_a_token_that_is_not_there_is_an_outage() -> None:
    """A label that no token has may come yet: the start can wait for it."""
    with pytest.raises(HsmUnavailable, match="token 'nobody': there is none of this label"):
        await softhsm.hsm(token="nobody").open()


@pytest.mark.parametrize("module", ["/nonexistent.so", "/bin/sh", "/etc/hostname"])
async def test_what_is_no_library_is_refused(module: str) -> None:
    """A file that is missing or no PKCS#11 library is a wrong setting."""
    backend = Pkcs11Hsm({}, module=module, token="any", pin="0000")
    with pytest.raises(HsmRejected, match=f"module {module}: "):
        await backend.open()


async def test_it_can_be_opened_again(hsm: Pkcs11Hsm) -> None:
    """Opening an open backend closes what it had."""
    await hsm.open()
    await hsm.ping()
