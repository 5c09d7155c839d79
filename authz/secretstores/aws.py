"""`aws-sm:NAME[#KEY]`: AWS Secrets Manager, the version staged as current. NAME may be an ARN.

Decision: boto3 and its own way out, because what finds the role of a machine, pod or function is a library of its own;
its time limits are set here, and so is the proxy. Those are of each step, and a reading has several (a role, then the
secret; to connect, then each part of an answer), so a reading is waited for no longer than `secrets.timeout` in all.
"""

import re
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from typing import TYPE_CHECKING, Any, ClassVar

from authz.errors import ConfigurationError
from authz.secretstores.errors import SecretMissing, StoreUnavailable
from authz.secretstores.local import proxy_url, read_local
from authz.secretstores.sections import Aws
from authz.secretstores.store import Secret, Setup, member_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"(?P<name>[A-Za-z0-9/_+=.@:\-]{1,2048})(?:#(?P<key>[A-Za-z0-9_.\-]{1,128}))?")
_LATER = frozenset(
    {
        *("InternalServiceError", "InternalServiceErrorException", "InternalFailure"),
        *("ServiceUnavailable", "ThrottlingException", "Throttling", "RequestTimeout"),
        "IDPCommunicationError",
    }
)
_SENTENCES = {
    "ResourceNotFoundException": "does not exist in {region}; create it there",
    "InvalidRequestException": "is marked for deletion; restore it, or name another",
    "AccessDeniedException": "is not for us; allow our role secretsmanager:GetSecretValue",
    "DecryptionFailure": "cannot be decrypted for us; allow our role kms:Decrypt of its key",
}


class AwsStore:
    """The store."""

    is_remote: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._section = setup.aws or Aws()

    def read(self, name: str) -> Secret:
        """The text or the bytes of the current version."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise SecretMissing(f"aws-sm:{name} is not the name of a secret; write its name or ARN")
        found = self._within_limit(name, match["name"])
        value = found.get("SecretBinary")
        if value is None:
            value = found["SecretString"].encode()
        return Secret(member_of(f"aws-sm:{name}", value, match["key"]), found.get("VersionId"))

    def close(self) -> None:
        """Nothing is open between readings."""

    def _within_limit(self, name: str, id_: str) -> "Mapping[str, Any]":
        answer: Future[Mapping[str, Any]] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._asked(name, id_))
            except BaseException as error:  # noqa: BLE001 -- whoever waits must hear of it
                answer.set_exception(error)

        limit = self._setup.secrets.timeout.total_seconds()
        threading.Thread(target=ask, name="secretstore-aws", daemon=True).start()
        try:
            return answer.result(limit)
        except TookTooLong:
            raise StoreUnavailable(
                f"AWS Secrets Manager did not answer within {limit:g} seconds; see that it can be reached from here"
            ) from None

    def _asked(self, name: str, id_: str) -> "Mapping[str, Any]":
        try:
            from botocore.exceptions import (
                BotoCoreError,
                ClientError,
                CredentialRetrievalError,
                HTTPClientError,
                MetadataRetrievalError,
                NoCredentialsError,
            )
            from botocore.exceptions import ConnectionError as NoConnection
        except ImportError:
            raise ConfigurationError(
                "an aws-sm: reference needs the extra aws; install mcp-authz[aws]"
            ) from None
        try:
            client = self._client()
            try:
                found: Mapping[str, Any] = client.get_secret_value(SecretId=id_)
                return found
            finally:
                client.close()
        except ClientError as error:
            # Neither chained nor quoted: what AWS says is its own text.
            code, details = error.response["Error"].get("Code"), error.response["ResponseMetadata"]
            raise self._not_given(name, str(code), details.get("HTTPStatusCode", 0)) from None
        except (
            NoConnection,
            HTTPClientError,
            CredentialRetrievalError,
            MetadataRetrievalError,
        ) as error:
            raise StoreUnavailable(
                f"AWS Secrets Manager does not answer ({type(error).__name__}); "
                "see that it can be reached from here"
            ) from None
        except NoCredentialsError:
            # Also what is left of a metadata service that does not answer for a moment.
            raise StoreUnavailable(
                f"AWS cannot be asked for aws-sm:{name} (NoCredentialsError); give this machine a role, "
                "or set keys in the section [aws]"
            ) from None
        except BotoCoreError as error:
            raise SecretMissing(
                f"AWS cannot be asked for aws-sm:{name} ({type(error).__name__}); give this machine a role "
                "and a region, or set both in the section [aws]"
            ) from None

    def _client(self) -> Any:
        # Made at every reading: a key that was renewed counts, and readings are minutes apart.
        import boto3
        import botocore.session
        from botocore.config import Config

        section, proxy = self._section, proxy_url(self._setup)
        secret = section.secret_access_key
        limit = self._setup.secrets.timeout.total_seconds()
        core = botocore.session.get_session()
        # Of the session, not of the client: what exchanges the token of a pod for a role would wait for minutes.
        core.set_default_client_config(
            Config(
                connect_timeout=limit,
                read_timeout=limit,
                retries={"total_max_attempts": 1},
                proxies=None if proxy is None else {"https": proxy},
            )
        )
        session = boto3.session.Session(
            botocore_session=core,
            aws_access_key_id=section.access_key_id,
            aws_secret_access_key=None if secret is None else read_local(self._setup, secret),
            region_name=section.region,
        )
        return session.client("secretsmanager", endpoint_url=section.endpoint)

    def _not_given(self, name: str, code: str, status: int) -> ConfigurationError:
        if code in _LATER or status >= 500:
            return StoreUnavailable(f"AWS Secrets Manager does not answer ({code}); it may later")
        region = self._section.region or "the region of this machine"
        why = _SENTENCES.get(code, f"is refused ({code}); see the section [aws]")
        return SecretMissing(f"the secret aws-sm:{name} {why.format(region=region)}")
