"""The protections of our bucket: each set unless it holds, then read back, for servers differ in what they keep."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraud.remote import conditions, s3
from fraud.remote.s3 import NOT_IMPLEMENTED

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOAD_DAYS = 7

_PROBE = ".bucket-create"
_PUBLIC_ACCESS_BLOCK = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)
_NOT_SET = {
    "NoSuchPublicAccessBlockConfiguration",
    "ServerSideEncryptionConfigurationNotFoundError",
    "NoSuchLifecycleConfiguration",
}
_REFUSED = {"InvalidArgument", "InvalidRequest"}  # a server that knows no checksum headers: boto3 must send some here
_CANNOT_WRITE = {*NOT_IMPLEMENTED, "InternalError", "500"}
_READ_BACKS = 5  # S3 may answer with the old setting for a moment


@dataclass(frozen=True)
class Protections:
    """Of one bucket. ``prefix`` is ours in it, with a slash at its end; "" means all of the bucket."""

    client: "S3Client"
    bucket: str
    prefix: str
    noncurrent_days: int

    def ensure(self) -> dict[str, str | None]:
        """Set what does not hold yet; for each protection None when it holds now, else what is wrong.

        boto3's errors pass through, but for those that say that the server has no such protection.
        """
        return {
            "versioning": _ensure(self._is_versioned, self._set_versioned),
            "public_access_block": _ensure(self._is_private, self._set_private),
            "encryption": self._ensure_encrypted(),
            "lifecycle": _ensure(self._has_rules, self._set_rules),
            "conditional_writes": self._conditions_problem(),
        }

    def _is_versioned(self) -> bool:
        return self.client.get_bucket_versioning(Bucket=self.bucket).get("Status") == "Enabled"

    def _set_versioned(self) -> None:
        self.client.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    def _is_private(self) -> bool:
        answer = _read(lambda: self.client.get_public_access_block(Bucket=self.bucket))
        return answer is not None and answer["PublicAccessBlockConfiguration"] == _PUBLIC_ACCESS_BLOCK

    def _set_private(self) -> None:
        block: Any = _PUBLIC_ACCESS_BLOCK
        self.client.put_public_access_block(Bucket=self.bucket, PublicAccessBlockConfiguration=block)

    def _ensure_encrypted(self) -> str | None:
        """Default encryption, proved by an object: SeaweedFS without a key takes the setting, then fails each write.

        If so, a setting that was made here is taken back, so that the bucket can be used.
        """
        stood = self._is_encrypted()
        problem = _ensure(self._is_encrypted, self._set_encrypted) or self._write_problem()
        if problem and not stood and self._is_encrypted():
            self.client.delete_bucket_encryption(Bucket=self.bucket)
            problem += "; the setting was taken back"
        return problem

    def _is_encrypted(self) -> bool:
        """By any algorithm: KMS, set by somebody before, is stricter than ours."""
        try:
            answer = _read(lambda: self.client.get_bucket_encryption(Bucket=self.bucket))
        except _client_error() as error:
            if code(error) in NOT_IMPLEMENTED:
                return False
            raise
        rules = answer["ServerSideEncryptionConfiguration"]["Rules"] if answer else []
        return any("ApplyServerSideEncryptionByDefault" in rule for rule in rules)

    def _set_encrypted(self) -> None:
        rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        self.client.put_bucket_encryption(Bucket=self.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})

    def _write_problem(self) -> str | None:
        """Write an object and remove it again without a trace; None when it was encrypted."""
        key = f"{self.prefix}{_PROBE}"
        try:
            answer = self.client.put_object(Bucket=self.bucket, Key=key, Body=b"probe")
        except _client_error() as error:
            if code(error) in _CANNOT_WRITE:
                return f"the server accepts it, then no object can be written ({code(error)})"
            raise
        self._erase(key)
        return None if answer.get("ServerSideEncryption") else "the server accepts it and does not encrypt"

    def _conditions_problem(self) -> str | None:
        """There is nothing to set: the server has them or not."""
        return conditions.find_problem(f"s3://{self.bucket}/{self.prefix}", lambda uri: self._erase(s3.split(uri)[1]))

    def _erase(self, key: str) -> None:
        """Remove a trial object with every version of it."""
        answer = self.client.list_object_versions(Bucket=self.bucket, Prefix=key)
        for entry in [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]:
            self.client.delete_object(Bucket=self.bucket, Key=key, VersionId=entry["VersionId"])

    def _rules(self) -> list[Any]:
        """Ours; the prefix in their ids keeps those of two projects in one bucket apart."""
        scope = {"Status": "Enabled", "Filter": {"Prefix": self.prefix}}
        old_versions = {"NoncurrentVersionExpiration": {"NoncurrentDays": self.noncurrent_days}}
        uploads = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS}}
        return [
            {"ID": f"fraud-noncurrent:{self.prefix}", **scope, **old_versions},
            {"ID": f"fraud-uploads:{self.prefix}", **scope, **uploads},
        ]

    def _existing_rules(self) -> list[Any]:
        answer = _read(lambda: self.client.get_bucket_lifecycle_configuration(Bucket=self.bucket))
        return answer["Rules"] if answer else []

    def _has_rules(self) -> bool:
        existing = self._existing_rules()
        return all(rule in existing for rule in self._rules())

    def _set_rules(self) -> None:
        """S3 replaces all rules at once, so those of others are sent again."""
        ours = self._rules()
        others = [rule for rule in self._existing_rules() if rule.get("ID") not in {our["ID"] for our in ours}]
        self.client.put_bucket_lifecycle_configuration(
            Bucket=self.bucket, LifecycleConfiguration={"Rules": others + ours}
        )


def code(error: Any) -> str:  # noqa: ANN401 - botocore is imported where it is used
    """S3's word for what went wrong; the HTTP status where there is none."""
    return str(error.response["Error"]["Code"])


def _ensure(holds: Callable[[], bool], apply: Callable[[], None]) -> str | None:
    """None when the setting holds, if need be after it was applied; else what is wrong."""
    try:
        if holds():
            return None
        apply()
        return None if _soon(holds) else "the server accepts it and does not keep it"
    except _client_error() as error:
        if code(error) in NOT_IMPLEMENTED:
            return f"the server does not implement it ({code(error)})"
        if code(error) in _REFUSED:
            return f"the server refuses the call ({error})"
        raise


def _soon(holds: Callable[[], bool]) -> bool:
    for attempt in range(_READ_BACKS):
        if attempt:
            time.sleep(1)
        if holds():
            return True
    return False


def _read(call: Callable[[], Any]) -> Any:  # noqa: ANN401 - the answer of whichever call is given
    """The answer, or None when S3 says that nothing is set."""
    try:
        return call()
    except _client_error() as error:
        if code(error) in _NOT_SET:
            return None
        raise


def _client_error() -> type[Exception]:
    from botocore.exceptions import ClientError

    return ClientError
