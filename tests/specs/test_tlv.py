"""Tag, length, value: what is well formed is read in order, what lies is refused."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.tlv import (
    TlvError,
    decode_additional_data,
    decode_ber,
    encode_additional_data,
    encode_ber,
)

SECRET = "4761739000000012"


@pytest.mark.parametrize(
    ("hex_text", "values"),
    [
        ("", {}),
        ("9A03261122", {"9A": "261122"}),
        ("9f2608d150f7a0eb7ea18e8202", None),
        ("9f2608d150f7a0eb7ea18e82023c00", {"9F26": "D150F7A0EB7EA18E", "82": "3C00"}),
        ("5A00", {"5A": ""}),
        ("DF81010112", {"DF8101": "12"}),
        ("77038201AA", {"77": "8201AA"}),
        ("820102" + "0000" + "950101" + "00", {"82": "02", "95": "01"}),
        ("8A8102" + "3030", {"8A": "3030"}),
        ("8A820002" + "3030", {"8A": "3030"}),
        ("72" + "8180" + "AB" * 128, {"72": "AB" * 128}),
    ],
)
def test_decode_ber(hex_text: str, values: dict[str, str] | None) -> None:
    """BER-TLV is read by the rules of EMV Book 3, annex B."""
    if values is None:
        with pytest.raises(TlvError):
            decode_ber(hex_text)
    else:
        assert values == decode_ber(hex_text)
        assert list(values) == list(decode_ber(hex_text))


@pytest.mark.parametrize(
    ("hex_text", "message"),
    [
        ("9", "not hex"),
        ("9A 0 261122", "not hex"),
        ("ZZ", "not hex"),
        ("9Aé", "not hex"),
        ("9F", "tag cut short"),
        ("9F81", "tag cut short"),
        ("9F81818101", "tag too long"),
        ("9A", "no length at tag 9A"),
        ("9A80261122", "indefinite length at tag 9A"),
        ("9A81", "length cut short at tag 9A"),
        ("9A8200", "length cut short at tag 9A"),
        ("9A8300000126", "length too long at tag 9A"),
        ("9AFF26", "length too long at tag 9A"),
        ("9A032611", "longer than the data at tag 9A"),
        ("82023C0082023C00", "stands twice at tag 82"),
        (f"5A09{SECRET}", "longer than the data at tag 5A"),
    ],
)
def test_ber_lies(hex_text: str, message: str) -> None:
    """A lie about a tag or a length is refused by tag; no value stands in the error."""
    with pytest.raises(TlvError) as refused:
        decode_ber(hex_text)
    assert message == str(refused.value)
    assert SECRET not in repr(refused.value)


TAGS = st.sampled_from(["82", "95", "9A", "9F26", "9F10", "5F2A", "DF8101", "57", "E1"])


@given(st.dictionaries(TAGS, st.binary(max_size=300).map(lambda b: b.hex().upper())))
def test_ber_there_and_back(values: dict[str, str]) -> None:
    """What is written is read back, in the same order."""
    assert list(values.items()) == list(decode_ber(encode_ber(values)).items())


@given(st.one_of(st.text(), st.binary(max_size=80).map(bytes.hex)))
def test_any_text_is_ber_or_an_error(text: str) -> None:
    """Any text is BER-TLV or a `TlvError`."""
    with suppress(TlvError):
        decode_ber(text)


def test_value_too_long() -> None:
    """A value longer than two length bytes can say is refused."""
    with pytest.raises(TlvError, match="value too long at tag 72"):
        encode_ber({"72": "00" * 65536})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("9203413", {"92": "413"}),
        ("92034138701M", {"92": "413", "87": "M"}),
        ("8700", {"87": ""}),
    ],
)
def test_decode_additional_data(text: str, values: dict[str, str]) -> None:
    """DE48 is a run of tag, length and value."""
    assert values == decode_additional_data(text)
    assert text == encode_additional_data(values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9", "tag is not a number"),
        ("XX03413", "tag is not a number"),
        ("²²03413", "tag is not a number"),
        ("92", "length is not a number at tag 92"),
        ("92+3413", "length is not a number at tag 92"),
        ("920441", "longer than the data at tag 92"),
        ("92034139203413", "stands twice at tag 92"),
    ],
)
def test_additional_data_lies(text: str, message: str) -> None:
    """A lie in DE48 is refused by tag."""
    with pytest.raises(TlvError) as refused:
        decode_additional_data(text)
    assert message == str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"9": "1"}, "tag is not a number"),
        ({"92": "1" * 100}, "value too long at tag 92"),
    ],
)
def test_additional_data_that_cannot_be_written(values: dict[str, str], message: str) -> None:
    """What the layout cannot say is refused."""
    with pytest.raises(TlvError, match=message):
        encode_additional_data(values)


@given(st.dictionaries(st.from_regex(r"[0-9]{2}", fullmatch=True), st.text(max_size=99)))
def test_additional_data_there_and_back(values: dict[str, str]) -> None:
    """DE48 that is written is read back."""
    assert values == decode_additional_data(encode_additional_data(values))


def test_other_layouts() -> None:
    """Three digits of tag and of length are read as two are."""
    values = decode_additional_data("092003413", tag_digits=3, length_digits=3)
    assert values == {"092": "413"}


def test_linear() -> None:
    """Eight times the data costs about eight times the time."""

    def seconds(count: int) -> float:
        text = encode_ber(
            {f"DF{0x81 + i // 128:02X}{i % 128:02X}": "00" * 20 for i in range(count)}
        )
        best = 1.0
        for _ in range(5):
            start = time.process_time()
            decode_ber(text)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(8000) < 32 * seconds(1000)
