"""TVR and CVR by the names of their bits."""

from __future__ import annotations

import pytest

from specs import emv_results
from specs.emv_results import cvr_names, tvr_names

VISA = "06010A03"  # length, key index, version 10, length of the CVR
MCHIP = "0110"
MCHIP_REST = "0000" + "00" * 8
CCD = "0FA501"
CCD_REST = "00" * 8 + "0F" + "00" * 15


@pytest.mark.parametrize(
    ("tvr", "names"),
    [
        ("0000000000", ""),
        ("8000000000", "oda_not_performed"),
        ("0000048000", "online_pin floor_limit_exceeded"),
        ("0040100010", "expired pin_pad_not_working script_failed_after_final_ac"),
        ("0004030704", "byte_2_bit_3 byte_3_bit_2 byte_3_bit_1 byte_4_bit_3 byte_4_bit_2 "
         "byte_4_bit_1 byte_5_bit_3"),
        ("", None),
        ("00000000", None),
        ("000000000000", None),
        ("000000000", None),
        ("zzzzzzzzzz", None),
    ],
)  # fmt: skip
def test_tvr(tvr: str, names: str | None) -> None:
    """Tag 95 is told by the names of the bits that are set, the highest first."""
    assert names == tvr_names(tvr)


@pytest.mark.parametrize(
    ("iad", "names"),
    [
        (VISA + "A00000", "second_not_requested first_arqc"),
        (VISA + "5D4038",
         "second_tc first_tc issuer_authentication_failed offline_pin_performed "
         "unable_to_go_online pin_try_limit_exceeded script_failed_last_time scripts_processed_3"),
        (VISA + "A00000" + "0F" * 9, "second_not_requested first_arqc"),
        (VISA + "A00001", "second_not_requested first_arqc byte_3_bit_1"),
        (MCHIP + "A50003040000" + MCHIP_REST,
         "second_not_requested first_arqc offline_pin_performed offline_pin_successful "
         "international pin_tries_left_3"),
        ("0114" + "A00020028001" + MCHIP_REST + "00" * 8,
         "second_not_requested first_arqc domestic lower_count_exceeded not_in_check_table "
         "scripts_counted_2"),
        (CCD + "A431980100" + CCD_REST,
         "second_not_requested first_arqc dda_performed last_online_not_completed "
         "lower_offline_count_exceeded upper_offline_amount_exceeded issuer_bit_1 "
         "unable_to_go_online pin_tries_left_3"),
        ("", None),
        ("0601", None),
        ("06010A04A0000000", None),                   # another length of the CVR
        ("1F2201A000000000" + "00" * 24, None),       # Visa's form 2: nothing public tells its bits
        (CCD + "A431980100" + CCD_REST[:-2], None),
        ("0118" + "A00000000000" + MCHIP_REST, None),  # no version of M/Chip's
        ("0FA7" + "00" * 30, None),
    ],
)  # fmt: skip
def test_cvr(iad: str, names: str | None) -> None:
    """The CVR is found by the form of the issuer application data, and told by its names."""
    assert names == cvr_names(iad)


@pytest.mark.parametrize("table", ["_TVR", "_CCD", "_VISA", "_MCHIP"])
def test_names(table: str) -> None:
    """No name stands twice in a table."""
    names = [name for row in getattr(emv_results, table) for name in row if name]
    assert len(names) == len(set(names))
