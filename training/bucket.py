"""The bucket that holds data and models: made with its protections, each read back, and removed with every version.

These are an administrator's calls; training and serving need far less (``training/policies.py``).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraud import s3
from fraud.errors import RegistryError
from training.policies import place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import LifecycleRuleOutputTypeDef, ObjectIdentifierTypeDef

NONCURRENT_DAYS = 90
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
_NOT_THERE = {"NotImplemented", "MethodNotAllowed", "501", "405"}
_SERVER_FAULTS = {*_NOT_THERE, "InternalError", "500"}
_READ_BACKS = 5  # S3 may answer with the old setting for a moment


@dataclass(frozen=True)
class Created:
    """What ``create`` found and did. ``missing`` names each protection that does not hold, and why."""

    bucket: str
    created: bool
    holds: tuple[str, ...]
    missing: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = {"bucket": f"s3://{self.bucket}", "created": self.created}
        return {**names, "holds": list(self.holds), "missing": dict(self.missing)}


@dataclass(frozen=True)
class Contents:
    """What stands in a bucket; ``foreign`` are some of the keys that are not below our prefix."""

    bucket: str
    versions: int
    delete_markers: int
    uploads: int
    foreign: tuple[str, ...]

    def as_dict(self) -> dict[str, int]:
        """The counts, for JSON."""
        return {"versions": self.versions, "delete_markers": self.delete_markers, "uploads": self.uploads}


def create(uri: str, noncurrent_days: int = NONCURRENT_DAYS) -> Created:
    """Make the bucket of ``uri`` if it is not there, and set and read back each protection. Runs again safely.

    What already holds is left as it is (a stricter encryption, say); lifecycle rules of others stay, and ours cover
    our prefix alone. Raises RegistryError when S3 fails or the bucket is somebody else's.
    """
    bucket, prefix = place(uri)
    with s3.stated(f"s3://{bucket}"):
        client = s3.client()
        created = _make(client, bucket)
        rules = _rules(prefix, noncurrent_days)
        found = {
            "versioning": _protect(lambda: _is_versioned(client, bucket), lambda: _set_versioned(client, bucket)),
            "public_access_block": _protect(lambda: _is_private(client, bucket), lambda: _set_private(client, bucket)),
            "encryption": _encrypt(client, bucket, prefix),
            "lifecycle": _protect(lambda: _has(client, bucket, rules), lambda: _set_rules(client, bucket, rules)),
        }
    holds = tuple(name for name, problem in found.items() if problem is None)
    return Created(bucket, created, holds, {name: problem for name, problem in found.items() if problem is not None})


def contents(uri: str) -> Contents:
    """Count what ``destroy`` would delete. Raises RegistryError when S3 fails or there is no such bucket."""
    bucket, prefix = place(uri)
    versions = markers = 0
    foreign: list[str] = []
    with s3.stated(f"s3://{bucket}"):
        client = s3.client()
        for page in _version_pages(client, bucket):
            versions += len(page["versions"])
            markers += len(page["markers"])
            keys = {entry["Key"] for entry in (*page["versions"], *page["markers"])}
            foreign = sorted({*foreign, *(key for key in keys if not key.startswith(prefix))})[:3]
        uploads = sum(1 for _ in _uploads(client, bucket))
    return Contents(bucket, versions, markers, uploads, tuple(foreign))


def destroy(uri: str, progress: Callable[[int], None] = lambda _: None) -> None:
    """Delete the bucket of ``uri`` with every version, delete marker and unfinished upload in it.

    ``progress`` is told how many are gone so far. Raises RegistryError when S3 fails, or when the bucket holds
    anything that is not below the prefix of ``uri``: then nothing is deleted.
    """
    found = contents(uri)
    if found.foreign:
        raise RegistryError(
            f"s3://{found.bucket} also holds what is not below {uri}: {', '.join(found.foreign)}; destroy deletes the "
            f"whole bucket: move these away first, or set FRAUD_S3_URI=s3://{found.bucket} to mean all of it"
        )
    with s3.stated(f"s3://{found.bucket}"):
        client = s3.client()
        empty(client, found.bucket, progress)
        client.delete_bucket(Bucket=found.bucket)


def empty(client: "S3Client", bucket: str, progress: Callable[[int], None] = lambda _: None) -> None:
    """Delete every version, delete marker and unfinished upload; the bucket stays."""
    gone = 0
    for page in _version_pages(client, bucket):  # 1,000 at most, as many as one call can delete
        objects = page["versions"] + page["markers"]
        if objects:
            answer = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            _check(bucket, answer.get("Errors", []))
            gone += len(objects)
            progress(gone)
    for key, upload in _uploads(client, bucket):
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)


def _make(client: "S3Client", bucket: str) -> bool:
    """Whether it had to be made. Asked first: creating one's own bucket again resets its access lists in us-east-1."""
    from botocore.exceptions import ClientError

    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        code = _code(error)
        if code == "403":
            raise RegistryError(
                f"s3://{bucket}: the name is somebody else's, or these credentials may not see it; choose another "
                "name, or use an administrator's credentials"
            ) from None
        if code not in ("404", "NoSuchBucket"):
            raise
    else:
        return False
    region: Any = client.meta.region_name
    if region == "us-east-1":
        client.create_bucket(Bucket=bucket)
    else:
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    client.get_waiter("bucket_exists").wait(Bucket=bucket, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return True


def _protect(holds: Callable[[], bool], apply: Callable[[], object]) -> str | None:
    """Apply a setting unless it holds; None when it was read back, else what is wrong."""
    from botocore.exceptions import ClientError

    try:
        if holds():
            return None
        apply()
        return None if _soon(holds) else "the server accepts it and does not keep it"
    except ClientError as error:
        if _code(error) in _NOT_THERE:
            return f"the server does not implement it ({_code(error)})"
        raise


def _soon(holds: Callable[[], bool]) -> bool:
    for attempt in range(_READ_BACKS):
        if attempt:
            time.sleep(1)
        if holds():
            return True
    return False


def _encrypt(client: "S3Client", bucket: str, prefix: str) -> str | None:
    """Default encryption, proved by an object: SeaweedFS without a key takes the setting and then fails each write.

    If so, a setting that was made here is taken back, so that the bucket can be used.
    """
    set_here = not _is_encrypted(client, bucket)
    problem = _protect(lambda: _is_encrypted(client, bucket), lambda: _set_encrypted(client, bucket))
    problem = problem or _write_problem(client, bucket, prefix)
    if problem and set_here and _is_encrypted(client, bucket):
        client.delete_bucket_encryption(Bucket=bucket)
        problem += "; the setting was taken back"
    return problem


def _write_problem(client: "S3Client", bucket: str, prefix: str) -> str | None:
    """Write an object and remove it again without a trace; None when it was encrypted."""
    from botocore.exceptions import ClientError

    key = f"{prefix}{_PROBE}"
    try:
        answer = client.put_object(Bucket=bucket, Key=key, Body=b"")
    except ClientError as error:
        if _code(error) in _SERVER_FAULTS:
            return f"no object can be written with it ({_code(error)})"
        raise
    version = {"VersionId": answer["VersionId"]} if "VersionId" in answer else {}
    client.delete_object(Bucket=bucket, Key=key, **version)
    return None if "ServerSideEncryption" in answer else "the server accepts it and does not encrypt"


def _is_versioned(client: "S3Client", bucket: str) -> bool:
    return client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"


def _set_versioned(client: "S3Client", bucket: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def _is_private(client: "S3Client", bucket: str) -> bool:
    answer = _set_or_none(lambda: client.get_public_access_block(Bucket=bucket))
    return answer is not None and dict(answer["PublicAccessBlockConfiguration"]) == _PUBLIC_ACCESS_BLOCK


def _set_private(client: "S3Client", bucket: str) -> None:
    configuration: Any = _PUBLIC_ACCESS_BLOCK
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=configuration)


def _is_encrypted(client: "S3Client", bucket: str) -> bool:
    answer = _set_or_none(lambda: client.get_bucket_encryption(Bucket=bucket))
    return answer is not None and any(
        "ApplyServerSideEncryptionByDefault" in rule for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]
    )


def _set_encrypted(client: "S3Client", bucket: str) -> None:
    client.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )


def _rules(prefix: str, noncurrent_days: int) -> "list[LifecycleRuleOutputTypeDef]":
    """Our lifecycle rules; the prefix in their ids keeps those of two projects in one bucket apart."""
    return [
        {
            "ID": f"fraud-noncurrent:{prefix}",
            "Status": "Enabled",
            "Filter": {"Prefix": prefix},
            "NoncurrentVersionExpiration": {"NoncurrentDays": noncurrent_days},
        },
        {
            "ID": f"fraud-uploads:{prefix}",
            "Status": "Enabled",
            "Filter": {"Prefix": prefix},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS},
        },
    ]


def _standing_rules(client: "S3Client", bucket: str) -> "list[LifecycleRuleOutputTypeDef]":
    answer = _set_or_none(lambda: client.get_bucket_lifecycle_configuration(Bucket=bucket))
    return answer["Rules"] if answer is not None else []


def _has(client: "S3Client", bucket: str, rules: "list[LifecycleRuleOutputTypeDef]") -> bool:
    standing = _standing_rules(client, bucket)
    return all(rule in standing for rule in rules)


def _set_rules(client: "S3Client", bucket: str, rules: "list[LifecycleRuleOutputTypeDef]") -> None:
    """S3 replaces all rules at once, so those of others are sent again."""
    ours = {rule.get("ID") for rule in rules}
    together: Any = [rule for rule in _standing_rules(client, bucket) if rule.get("ID") not in ours] + rules
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": together})


def _set_or_none(read: Callable[[], Any]) -> Any:  # noqa: ANN401 - the answer of whichever call is given
    """The answer to ``read``, or None when S3 says that nothing is set."""
    from botocore.exceptions import ClientError

    try:
        return read()
    except ClientError as error:
        if _code(error) in _NOT_SET:
            return None
        raise


def _version_pages(client: "S3Client", bucket: str) -> "Iterator[dict[str, list[ObjectIdentifierTypeDef]]]":
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        entries = {"versions": page.get("Versions", []), "markers": page.get("DeleteMarkers", [])}
        yield {
            kind: [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in found]  # type: ignore[attr-defined]
            for kind, found in entries.items()
        }


def _uploads(client: "S3Client", bucket: str) -> Iterator[tuple[str, str]]:
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            yield upload["Key"], upload["UploadId"]


def _check(bucket: str, errors: Any) -> None:  # noqa: ANN401 - boto3 names its type in the stubs alone
    if errors:
        first = errors[0]
        raise RegistryError(
            f"s3://{bucket}: {len(errors)} objects could not be deleted, such as {first.get('Key')}: "
            f"{first.get('Message') or first.get('Code')}"
        )


def _code(error: Any) -> str:  # noqa: ANN401 - botocore is imported where it is used
    return str(error.response["Error"]["Code"])
