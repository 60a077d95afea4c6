"""Every question that can be made is one that the service's model takes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from keys.aws import card_codes, cryptograms, macs, pins, warming
from keys.aws.question import HeldKey, Question
from keys.hsm import (
    AmexCsc,
    ArpcMethod,
    CardCode,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Cvc3,
    DynamicCvv,
    HsmRejected,
    Ibm3624,
    MacAlgorithm,
    PinBlockFormat,
    PinReference,
    SessionKeyDerivation,
    VisaPvv,
)
from tests.contract.keys import KEYS, REFS
from tests.hsm_aws.model import service, validate

many = settings(max_examples=200, deadline=None)

ARN = "arn:aws:payment-cryptography:us-east-1:123456789012:key/0123456789abcdef"
HELD = {name: HeldKey(name, ARN, key.kcv, key.usage, key.algorithm) for name, key in KEYS.items()}


def digits(low: int, high: int | None = None) -> st.SearchStrategy[str]:
    """Digits of ASCII, `low` to `high` of them."""
    return st.text("0123456789", min_size=low, max_size=high or low)


def octets(low: int, high: int | None = None) -> st.SearchStrategy[bytes]:
    """Bytes, `low` to `high` of them."""
    return st.binary(min_size=low, max_size=high or low)


pans = digits(12, 19)
formats = st.sampled_from(PinBlockFormat)
blocks = st.one_of(octets(8), octets(16), octets(0, 20))


def is_taken(question: Question | None) -> None:
    """Compare a question with the model of its operation."""
    if question is None:
        return
    models = service("payment-cryptography-data")
    names = {name.lower(): name for name in models.operation_names}
    model = models.operation_model(names[question.operation.replace("_", "")])
    validate(model.input_shape, dict(question.parameters))


codes: st.SearchStrategy[tuple[str, CardCode]] = st.one_of(
    st.tuples(st.just("cvk"), st.builds(CardVerificationValue, digits(4), digits(3))),
    st.tuples(st.just("csck"), st.builds(AmexCsc, st.sampled_from([1, 2]), digits(4), digits(3))),
    st.tuples(
        st.just("imk_dcvv"), st.builds(DynamicCvv, digits(2), digits(4), digits(3), digits(4))
    ),
    st.tuples(st.just("imk_cvc3"), st.builds(Cvc3, digits(2), octets(2), octets(4), octets(1, 80))),
)


@many
@given(codes, pans, digits(0, 7))
def test_card_codes(asked: tuple[str, CardCode], pan: str, code: str) -> None:
    """Of every card code."""
    key, of = asked
    is_taken(card_codes.card_code(HELD[key], of, pan=pan, code=code))


validation_data = st.builds(
    lambda text, letter: text.ljust(16, letter), digits(4, 16), st.sampled_from("ABCDEF")
)
#: Decimalization tables: ten digits in any order, and six of them again.
tables = st.permutations("0123456789012345").map("".join)
references: st.SearchStrategy[PinReference] = st.one_of(
    st.builds(VisaPvv, st.just(REFS["pvk"]), st.sampled_from("0123456"), digits(4)),
    st.builds(Ibm3624, st.just(REFS["pvk_ibm"]), digits(4, 12), tables, validation_data),
)


@many
@given(references, formats, blocks, pans)
def test_pins(
    reference: PinReference, pin_block_format: PinBlockFormat, block: bytes, pan: str
) -> None:
    """Of every PIN reference, format and block."""
    zone = HELD["zpk_aes" if pin_block_format is PinBlockFormat.ISO_4 else "zpk"]
    words = {"pin_block": block, "pin_block_format": pin_block_format, "pan": pan}
    asked = pins.pin(reference, HELD[reference.key.name], zone, **words)  # type: ignore[arg-type]
    is_taken(asked)
    if asked is not None:
        is_taken(pins.pin_block_reading(zone, **words))  # type: ignore[arg-type]


schemes = st.builds(
    CryptogramScheme,
    st.sampled_from(CardKeyDerivation),
    st.sampled_from(SessionKeyDerivation),
    st.sampled_from(ArpcMethod),
)


@many
@given(schemes, pans, digits(2), octets(2), st.integers(1, 64), octets(0, 9), octets(4, 12))
def test_cryptograms(
    scheme: CryptogramScheme,
    pan: str,
    psn: str,
    atc: bytes,
    blocks_of_data: int,
    arqc: bytes,
    csu: bytes,
) -> None:
    """Of every scheme, with all data that is allowed."""
    data = bytes(8 * blocks_of_data)
    of = Cryptogram(scheme, pan, psn, atc, data, arqc, bytes(4))
    arpc_data = csu[:2] if scheme.arpc is ArpcMethod.METHOD_1 else csu
    is_taken(cryptograms.cryptogram(HELD["imk_ac"], of, arpc_data=arpc_data))


KEY_OF = {
    MacAlgorithm.ISO9797_1: "mak_1",
    MacAlgorithm.ISO9797_3: "zak",
    MacAlgorithm.AES_CMAC: "mak_aes",
    MacAlgorithm.TDES_CMAC: "mak_tdes",
}


@many
@given(st.sampled_from(MacAlgorithm), octets(0, 4200), octets(0, 20))
def test_macs(algorithm: MacAlgorithm, data: bytes, given_mac: bytes) -> None:
    """Of every algorithm and length, or it is refused."""
    key = HELD[KEY_OF[algorithm]]
    try:
        is_taken(macs.mac(key, data, algorithm=algorithm))
        is_taken(macs.mac_verification(key, data, given_mac, algorithm=algorithm))
    except HsmRejected:
        assert not data or len(data) > macs.MAC_DATA_MAX - 7


def test_made_up_questions() -> None:
    """Of each key at start, but those that nothing is asked with."""
    asked = warming.questions(HELD.values())
    assert {name for q in asked for name in (key.name for key in q.keys.values())} == (
        HELD.keys() - {"zmk"}
    )
    for question in asked:
        is_taken(question)
