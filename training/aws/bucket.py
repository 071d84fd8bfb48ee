"""The bucket that holds data and models: made with its protections, and removed with every version in it.

These are an administrator's calls; training and serving need far less (``training/aws/iam.py``).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraud.errors import RegistryError
from fraud.remote import s3
from training.aws.iam import place
from training.aws.protections import Protections, code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NONCURRENT_DAYS = 90

_FOREIGN_NAMED = 3


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
    """What stands in a bucket; ``foreign`` are the first keys that are not below our prefix."""

    bucket: str
    versions: int
    delete_markers: int
    uploads: int
    foreign: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        return {"versions": self.versions, "delete_markers": self.delete_markers, "uploads": self.uploads}

    def described(self) -> str:
        """The counts in words."""
        return f"{self.versions} versions, {self.delete_markers} delete markers, {self.uploads} unfinished uploads"


def create(uri: str, noncurrent_days: int = NONCURRENT_DAYS) -> Created:
    """Make the bucket of ``uri`` if it is not there, and set and read back each protection. Runs again safely.

    What already holds is left as it is (a stricter encryption, say); lifecycle rules of others stay, and ours cover
    our prefix alone. Raises RegistryError when S3 fails or the bucket is somebody else's.
    """
    bucket, prefix = place(uri)
    with s3.stated(f"s3://{bucket}"):
        client = s3.client()
        created = _make(client, bucket)
        problems = Protections(client, bucket, prefix, noncurrent_days).ensure()
    holds = tuple(name for name, problem in problems.items() if problem is None)
    return Created(bucket, created, holds, {name: problem for name, problem in problems.items() if problem is not None})


def contents(uri: str) -> Contents:
    """Count what ``destroy`` would delete. Raises RegistryError when S3 fails or there is no such bucket."""
    bucket, prefix = place(uri)
    versions = markers = 0
    foreign: set[str] = set()
    with s3.stated(f"s3://{bucket}"):
        client = s3.client()
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            versions += len(page.get("Versions", []))
            markers += len(page.get("DeleteMarkers", []))
            foreign |= {entry["Key"] for entry in _identifiers(page) if not entry["Key"].startswith(prefix)}
            foreign = set(sorted(foreign)[:_FOREIGN_NAMED])
        uploads = list(_uploads(client, bucket))
    foreign |= {key for key, _ in uploads if not key.startswith(prefix)}
    return Contents(bucket, versions, markers, len(uploads), tuple(sorted(foreign)[:_FOREIGN_NAMED]))


def destroy(uri: str, agree: Callable[[Contents], None], progress: Callable[[int], None] = lambda _: None) -> Contents:
    """Delete the bucket of ``uri`` with every version, delete marker and unfinished upload; what was in it.

    ``agree`` is shown what stands there and raises to stop; ``progress`` is told how many versions and markers are
    gone so far. Raises RegistryError when S3 fails, or when the bucket holds anything that is not below the prefix of
    ``uri``: then nothing is deleted.
    """
    inventory = contents(uri)
    if inventory.foreign:
        raise RegistryError(
            f"s3://{inventory.bucket} also holds what is not below {uri}: {', '.join(inventory.foreign)}; destroy "
            "deletes the whole bucket: move that away first, "
            f"or set FRAUD_S3_URI=s3://{inventory.bucket} to mean all of it"
        )
    agree(inventory)
    with s3.stated(f"s3://{inventory.bucket}"):
        client = s3.client()
        _empty(client, inventory.bucket, progress)
        client.delete_bucket(Bucket=inventory.bucket)
    return inventory


def _make(client: "S3Client", bucket: str) -> bool:
    """Whether it had to be made. Asked first: creating one's own bucket again resets its access lists in us-east-1."""
    if _is_there(client, bucket):
        return False
    region: Any = client.meta.region_name
    if region == "us-east-1":
        client.create_bucket(Bucket=bucket)
    else:
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    client.get_waiter("bucket_exists").wait(Bucket=bucket, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return True


def _is_there(client: "S3Client", bucket: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if code(error) == "404":
            return False
        if code(error) == "403":
            raise RegistryError(
                f"s3://{bucket}: the name is somebody else's, or these credentials may not see the bucket; choose "
                "another name, or use an administrator's credentials"
            ) from None
        raise
    return True


def _empty(client: "S3Client", bucket: str, progress: Callable[[int], None]) -> None:
    gone = 0
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        objects: list[Any] = _identifiers(page)  # 1,000 at most, as many as one call deletes
        if objects:
            answer = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for problem in answer.get("Errors", []):
                raise RegistryError(f"s3://{bucket}: {problem.get('Key')} was not deleted: {problem.get('Message')}")
            gone += len(objects)
            progress(gone)
    for key, upload in _uploads(client, bucket):
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)


def _identifiers(page: Any) -> list[dict[str, str]]:  # noqa: ANN401 - boto3 names its type in the stubs alone
    entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    return [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]


def _uploads(client: "S3Client", bucket: str) -> Iterator[tuple[str, str]]:
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            yield upload["Key"], upload["UploadId"]
