"""AWS KMS. The reference is the key's ARN: KMS does not rotate asymmetric keys, so it names one key pair for ever.

Credentials come from where the AWS SDK finds them (environment, profile, role of the machine); none is a setting here.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from authz.errors import ConfigurationError
from authz.keys.backends import DEADLINE, BackendError, Surroundings
from authz.keys.backends.formats import digest, raw_signature

_SPECS = {"ES256": "ECC_NIST_P256", "RS256": "RSA_2048"}
_SIGNING = {"ES256": "ECDSA_SHA_256", "RS256": "RSASSA_PKCS1_V1_5_SHA_256"}
_MAX_MESSAGE = 4096
_DENIED = frozenset({"AccessDeniedException", "UnrecognizedClientException"})
_UNUSABLE = frozenset({"NotFoundException", "DisabledException", "KMSInvalidStateException"})

_T = TypeVar("_T")


class AwsKms:
    """One region of one account."""

    def __init__(self, around: Surroundings) -> None:
        settings = around.settings.aws_kms
        if settings.region is None:
            raise ConfigurationError("aws_kms.region says where the keys are; set it")
        seconds = DEADLINE.total_seconds()
        try:
            self._client: Any = boto3.client(
                "kms",
                region_name=settings.region,
                endpoint_url=settings.endpoint,
                config=Config(
                    connect_timeout=seconds,
                    read_timeout=seconds,
                    retries={"total_max_attempts": 2, "mode": "standard"},
                    max_pool_connections=32,
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(f"AWS KMS cannot be used: {error}") from None

    def create(self, label: str, algorithm: str) -> str:
        """A key that signs and does nothing else."""
        made = _asked(
            lambda: self._client.create_key(
                KeySpec=_SPECS[algorithm], KeyUsage="SIGN_VERIFY", Description=label
            )
        )
        return str(made["KeyMetadata"]["Arn"])

    def public_key(self, reference: str) -> bytes:
        """GetPublicKey answers the DER."""
        return bytes(_asked(lambda: self._client.get_public_key(KeyId=reference))["PublicKey"])

    def sign(self, reference: str, algorithm: str, data: bytes) -> bytes:
        """Of the message, or of its digest where the message is longer than KMS takes."""
        whole = len(data) <= _MAX_MESSAGE
        answer = _asked(
            lambda: self._client.sign(
                KeyId=reference,
                Message=data if whole else digest(data),
                MessageType="RAW" if whole else "DIGEST",
                SigningAlgorithm=_SIGNING[algorithm],
            )
        )
        return raw_signature(algorithm, answer["Signature"])

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


def _asked(ask: Callable[[], _T]) -> _T:
    try:
        return ask()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _DENIED:
            raise BackendError("AWS KMS does not allow it", reason="store_denied") from error
        if code in _UNUSABLE:
            raise BackendError("AWS KMS has no such usable key", reason="key_unusable") from error
        raise BackendError(f"AWS KMS refused: {code}", reason="refused") from error
    except BotoCoreError as error:
        raise BackendError(
            f"AWS KMS cannot be reached: {type(error).__name__}", reason="unreachable"
        ) from error
