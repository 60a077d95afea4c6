"""The simulator refuses what the real service refuses: else its yes would mean nothing."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.contract.keys import KEYS
from tests.hsm_aws import cards, formulas
from tests.hsm_aws.control import CREDENTIALS, REGION
from tests.hsm_aws.rig import Rig


@pytest.fixture
def client(mended: Rig) -> Any:
    """The SDK, with its own checks off."""
    made = boto3.client(
        "payment-cryptography-data",
        region_name=REGION,
        endpoint_url=mended.data.url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )
    yield made
    made.close()


def request(mended: Rig) -> dict[str, Any]:
    """A right question about a card code."""
    return {
        "KeyIdentifier": mended.held["cvk"].arn,
        "PrimaryAccountNumber": cards.PAN,
        "VerificationAttributes": {
            "CardVerificationValue1": {"CardExpiryDate": "2912", "ServiceCode": "201"}
        },
        "ValidationData": cards.CODES["cvv"][3],
    }


def code_of(client: Any, parameters: dict[str, Any]) -> str:
    """What the SDK says of a question: the error's code, or nothing."""
    try:
        client.verify_card_validation_data(**parameters)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_right_question(client: Any, mended: Rig) -> None:
    """A right question is answered, by ARN and by alias."""
    assert "" == code_of(client, request(mended))
    assert "" == code_of(client, request(mended) | {"KeyIdentifier": "alias/cvk"})


@pytest.mark.parametrize(
    "change",
    [
        {"PrimaryAccountNumber": "40001234"},
        {"PrimaryAccountNumber": "400012345678901X"},
        {"PrimaryAccountNumber": 4000123456789017},
        {"ValidationData": "12"},
        {"KeyIdentifier": "cvk"},
        {"Unknown": "1"},
        {"VerificationAttributes": {}},
        {
            "VerificationAttributes": {
                "CardVerificationValue2": {"CardExpiryDate": "2912"},
                "AmexCardSecurityCodeVersion1": {"CardExpiryDate": "2912"},
            }
        },
        {"VerificationAttributes": {"CardVerificationValue1": {"CardExpiryDate": "2912"}}},
        {"VerificationAttributes": {"CardVerificationValue2": {"CardExpiryDate": "291"}}},
    ],
)
def test_wrong_shapes(client: Any, mended: Rig, change: dict[str, Any]) -> None:
    """Length, pattern, type, union and members are those of the service's model."""
    parameters = request(mended) | change
    if "Unknown" in change:
        assert "ValidationException" == _posted(mended, parameters)
        return
    assert "ValidationException" == code_of(client, parameters)


def test_missing_member(client: Any, mended: Rig) -> None:
    """A required member must be there."""
    parameters = request(mended)
    del parameters["ValidationData"]
    assert "ValidationException" == code_of(client, parameters)


def test_key_of_another_usage(client: Any, mended: Rig) -> None:
    """A key is refused for what it is not for, and one that is not there is not found."""
    assert "ValidationException" == code_of(
        client, request(mended) | {"KeyIdentifier": "alias/pvk"}
    )
    assert "ResourceNotFoundException" == code_of(
        client, request(mended) | {"KeyIdentifier": "alias/nobody"}
    )


def test_unsigned(mended: Rig) -> None:
    """A request without a signature for this service is refused."""
    for header in ("", _signature("s3"), _signature("payment-cryptography")[:-1]):
        assert "IncompleteSignatureException" == _posted(mended, request(mended), header)
    assert "" == _posted(mended, request(mended), _signature("payment-cryptography"))


def test_check_values() -> None:
    """The oracle's check values are those that the keys are pinned by."""
    assert {name: key.kcv for name, key in KEYS.items()} == {
        name: formulas.check_value(key.material, key.algorithm) for name, key in KEYS.items()
    }


def _signature(service: str) -> str:
    return (
        f"AWS4-HMAC-SHA256 Credential=AKIA/20261127/{REGION}/{service}/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-date, Signature={'0' * 64}"
    )


def _posted(
    mended: Rig, parameters: dict[str, Any], header: str = _signature("payment-cryptography")
) -> str:
    """Post without the SDK; give the error's code, or nothing."""
    posted = urllib.request.Request(  # noqa: S310 - our own simulator
        f"{mended.data.url}/cardvalidationdata/verify",
        json.dumps(parameters).encode(),
        {"Authorization": header},
    )
    try:
        with urllib.request.urlopen(posted, timeout=10):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return str(error.headers["x-amzn-ErrorType"])
