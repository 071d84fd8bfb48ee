"""A few S3 operations on ``s3://bucket/key`` addresses, with errors a person can act on.

Credentials, region, checksum headers and S3-compatible servers (``AWS_ENDPOINT_URL_S3``) are boto3's business. An
object is whole or not there: S3 shows an upload only when it is complete, and a download gets its name when all bytes
have come.
"""

import contextlib
import functools
import json
import os
from collections.abc import Iterable, Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud.atomic import replacing
from fraud.errors import ConflictError, RegistryError, UnsupportedError
from fraud.manifest import sha256 as file_sha256

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

CONNECTIONS = 10
"""How many calls one client makes at once."""


def client() -> "S3Client":
    """This process's client, for all threads; another when an ``AWS_`` variable has changed since.

    It gives up in bounded time: 5 s to connect, 60 s to read, three tries.
    """
    variables = frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))
    return _client(os.getpid(), variables)


@functools.lru_cache(maxsize=1)
def _client(_process: int, _variables: frozenset[tuple[str, str]]) -> "S3Client":
    """Of a session of its own: boto3's default one keeps the keys that it has seen first."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"max_attempts": 3, "mode": "standard"},
        max_pool_connections=CONNECTIONS,
    )
    with stated("s3://"):
        return boto3.Session().client("s3", config=config)


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``. Raises RegistryError for another form."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise RegistryError(f"expected an address like s3://bucket/key, got {uri!r}")
    return bucket, key


def join(uri: str, *parts: str) -> str:
    """``s3://bucket/prefix`` and parts of a key as one address."""
    return "/".join([uri.rstrip("/"), *parts])


def keys(uri: str) -> list[str]:
    """Addresses of all objects whose key starts with that of ``uri``, in S3's order."""
    return list(sizes(uri))


def sizes(uri: str) -> dict[str, int]:
    """The same, each with its bytes."""
    bucket, prefix = split(uri)
    with stated(uri):
        pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {f"s3://{bucket}/{entry['Key']}": entry["Size"] for page in pages for entry in page.get("Contents", [])}


def folders(uri: str) -> list[str]:
    """Names directly below the folder ``uri``."""
    bucket, prefix = split(join(uri, ""))
    with stated(uri):
        pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        prefixes = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
    return [name.removeprefix(prefix).rstrip("/") for name in prefixes]


def download(uri: str, target: Path, sha256: str | None = None) -> None:
    """Fetch an object to ``target``, under a temporary name until it is whole and has the given SHA-256.

    Raises RegistryError.
    """
    bucket, key = split(uri)
    with replacing(target) as part:
        with stated(uri):
            client().download_file(bucket, key, str(part))
        if sha256 is not None and file_sha256(part) != sha256:
            raise RegistryError(f"{uri}: the object is damaged or was replaced: its SHA-256 is not {sha256}")


def modified(uri: str) -> float:
    """When an object was written, seconds since the epoch. Raises RegistryError."""
    bucket, key = split(uri)
    with stated(uri):
        return client().head_object(Bucket=bucket, Key=key)["LastModified"].timestamp()


def upload(path: Path, uri: str) -> None:
    """Send a file with SHA-256 checksums, which the server verifies, unless they are off. Raises RegistryError."""
    bucket, key = split(uri)
    with stated(uri):
        client().upload_file(str(path), bucket, key, ExtraArgs=_checksum())


def get(uri: str) -> tuple[bytes, str] | None:
    """Body and ETag of a small object, or None if there is none. Raises RegistryError on any other failure."""
    from botocore.exceptions import ClientError

    bucket, key = split(uri)
    with stated(uri):
        try:
            answer = client().get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return answer["Body"].read(), answer["ETag"]


def get_all(uris: Iterable[str]) -> list[tuple[bytes, str] | None]:
    """``get`` of each, in their order and CONNECTIONS at once, in threads that keep no process from its end."""
    with ThreadPool(CONNECTIONS) as pool:
        return pool.map(get, uris)


def put(uri: str, document: object, *, replacing: str | None = None, new: bool = False) -> None:
    """Write ``document`` as JSON.

    With ``new`` only if the object does not exist, with ``replacing`` only if its ETag is still that one; ConflictError
    when it is not so. Raises RegistryError on any other failure.
    """
    bucket, key = split(uri)
    condition: dict[str, Any] = {"IfMatch": replacing} if replacing else {"IfNoneMatch": "*"} if new else {}
    body = json.dumps(document, indent=2).encode() + b"\n"
    with stated(uri):
        client().put_object(
            Bucket=bucket,
            Key=key,
            Body=body,
            ContentType="application/json",
            **_checksum(),
            **condition,
        )


def delete(uris: Iterable[str]) -> None:
    """Delete objects in the order given; with versioning on, their versions stay. Raises RegistryError."""
    for uri in uris:
        bucket, key = split(uri)
        with stated(uri):
            client().delete_object(Bucket=bucket, Key=key)


def _checksum() -> dict[str, Any]:
    """What asks boto3 for a checksum header; nothing where its own switch is off, as for a server that refuses them."""
    config: Any = client().meta.config
    return {} if config.request_checksum_calculation == _OFF else {"ChecksumAlgorithm": "SHA256"}


_OFF = "when_required"
NOT_IMPLEMENTED = {"NotImplemented", "MethodNotAllowed", "501", "405"}
_HINTS = {
    "NoSuchBucket": "the bucket does not exist",
    **dict.fromkeys(("404", "NoSuchKey"), "there is no such object"),
    **dict.fromkeys(("403", "AccessDenied"), "access denied: check the credentials and the policy"),
    "InvalidAccessKeyId": "the access key is unknown to the server",
    "SignatureDoesNotMatch": "the secret key does not fit the access key",
}
_CONFLICTS = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_UNKNOWN_HEADER = {
    *("InvalidArgument", "InvalidRequest", "BadRequest", "400", "NotImplemented", "501", "MissingContentLength"),
    *("XAmzContentSHA256Mismatch", "MalformedTrailerError", "AuthorizationHeaderMalformed"),
}
"""What servers that know no checksum headers answer to one; Google's, to a write, that the signature is wrong."""
_WRITES = {"PutObject", "CreateMultipartUpload", "UploadPart"}


@contextlib.contextmanager
def stated(uri: str) -> Iterator[None]:
    """Turn boto3's failures into errors of ours that name the address.

    ConflictError when somebody else was first, UnsupportedError when the server has no such call, else RegistryError.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except NoCredentialsError:
        raise RegistryError(
            f"{uri}: no AWS credentials; run `aws configure` or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None
    except (ClientError, BotoCoreError, Boto3Error, ValueError) as error:
        # ValueError: boto3's word for a malformed endpoint. An upload's failure is wrapped in another of its words.
        answer = error if isinstance(error, ClientError) else error.__context__
        if isinstance(answer, ClientError):
            raise _refused(uri, answer) from None
        raise RegistryError(f"{uri}: {error}") from None


def _refused(uri: str, error: "ClientError") -> RegistryError:
    """What the server's answer means."""
    code = error.response["Error"]["Code"]
    if code in _CONFLICTS:
        return ConflictError(f"{uri}: somebody else wrote it first")
    words = f"{uri}: {_HINTS.get(code, str(error).rstrip('.'))}"
    if _may_be_checksums(code, error.operation_name):
        words += (
            "; if this server knows no checksum headers, set AWS_REQUEST_CHECKSUM_CALCULATION=when_required and "
            "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required"
        )
    return UnsupportedError(words) if code in NOT_IMPLEMENTED else RegistryError(words)


def _may_be_checksums(code: str, operation: str) -> bool:
    """Whether a server that knows no checksum headers answers so, and they are not off."""
    config: Any = client().meta.config
    off = config.request_checksum_calculation == config.response_checksum_validation == _OFF
    return not off and (code in _UNKNOWN_HEADER or (code == "SignatureDoesNotMatch" and operation in _WRITES))
