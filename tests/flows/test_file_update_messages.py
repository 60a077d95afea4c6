"""Any update as a message, and any answer to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.spec import load
from switch.flows.file_update import request_of, state_after
from switch.ledger.file_updates import FileUpdate
from switch.wire.message import decode, encode, require
from tests.flows.support import SPEC

UPDATES = st.builds(
    FileUpdate,
    account_id=st.integers(1, 9),
    update_id=st.integers(1, 9),
    card_id=st.integers(1, 9),
    action=st.sampled_from(["add", "delete"]),
    status=st.sampled_from(["lost", "stolen", "blocked", "inactive", "closed"]),
    attempts=st.integers(1, 9),
    is_repeat=st.booleans(),
    stan=st.from_regex(r"[0-9]{6}", fullmatch=True),
    transmission_datetime=st.from_regex(r"[0-9]{10}", fullmatch=True),
    pan_token=st.just(b""),
    pan_ciphertext=st.just(b""),
)


@pytest.mark.parametrize("dialect", ["iso87-ascii", "iso87-binary"])
@given(
    update=UPDATES,
    pan=st.from_regex(r"[0-9]{12,19}", fullmatch=True),
    name=st.from_regex(r"[ -~]{1,17}", fullmatch=True),
)
def test_any_update_can_be_sent(dialect: str, update: FileUpdate, pan: str, name: str) -> None:
    """Every update is a whole message in each dialect, and shows no PAN when printed."""
    spec = load(dialect)
    request = request_of(update, pan, spec, name)
    require(request, spec)
    assert decode(encode(request, spec), spec) == request
    assert pan not in repr(request)


@given(update=UPDATES, code=st.from_regex(r"[0-9A-Za-z ]{2}", fullmatch=True))
def test_any_answer_is_read(update: FileUpdate, code: str) -> None:
    """Of all DE39 two accept an update and three put it off; any other refuses it."""
    accepting = {"add": {"00", "26"}, "delete": {"00", "25"}}[update.action]
    expected = (
        "accepted" if code in accepting else "waiting" if code in {"28", "91", "96"} else "refused"
    )
    assert expected == state_after(update, code, SPEC)
