"""The client of a process, and what S3's answers mean; no server is needed for either."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from fraud.errors import ConflictError, RegistryError, UnsupportedError
from fraud.remote import s3

SWITCH = "AWS_REQUEST_CHECKSUM_CALCULATION"
HINT = f"set {SWITCH}=when_required and AWS_RESPONSE_CHECKSUM_VALIDATION=when_required"


def said(code, operation, kind=RegistryError):
    """The words for an answer to a call."""
    with pytest.raises(RegistryError) as caught, s3.stated("s3://cards/x"):
        raise ClientError({"Error": {"Code": code, "Message": "as the server has it"}}, operation)
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_process_has_one_client():
    """Of all threads, too."""
    with ThreadPoolExecutor(4) as pool:
        assert {id(client) for client in pool.map(lambda _: s3.client(), range(8))} >= {id(s3.client())}
    assert s3.client() is s3.client()


def test_another_server_or_key_is_another_client(monkeypatch):
    """What the environment says now counts: address and keys, and then they are kept."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "one")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    first = s3.client()
    assert first._request_signer._credentials.access_key == "one"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "two")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    second = s3.client()
    assert second is not first
    assert second._request_signer._credentials.access_key == "two"
    assert second.meta.endpoint_url == "http://127.0.0.1:9"


@pytest.mark.parametrize("value", ["when_required", "WHEN_REQUIRED"])
def test_boto3s_own_switch_turns_checksums_off(monkeypatch, value):
    """They are sent by default."""
    assert s3._checksum() == {"ChecksumAlgorithm": "SHA256"}
    monkeypatch.setenv(SWITCH, value)
    assert s3._checksum() == {}


def test_the_switch_works_in_boto3s_file_too(monkeypatch, tmp_path):
    """As ``aws configure`` keeps it."""
    (tmp_path / "config").write_text("[default]\nrequest_checksum_calculation = when_required\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert s3._checksum() == {}


@pytest.mark.parametrize(
    ("code", "operation", "may_be"),
    [
        ("InvalidArgument", "PutObject", True),
        ("InvalidArgument", "GetObject", True),  # Backblaze's server refuses x-amz-checksum-mode too
        ("XAmzContentSHA256Mismatch", "UploadPart", True),
        ("SignatureDoesNotMatch", "PutObject", True),  # Google's
        ("SignatureDoesNotMatch", "GetObject", False),
        ("ExpiredToken", "PutObject", False),
    ],
)
def test_a_call_that_checksums_may_have_spoilt_says_how_to_turn_them_off(monkeypatch, code, operation, may_be):
    """Once both are off nothing is said of it."""
    assert (HINT in said(code, operation)) == may_be
    monkeypatch.setenv(SWITCH, "when_required")
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
    assert HINT not in said(code, operation)


def test_answers_are_told_apart():
    """Somebody was first; the server has no such call; anything else."""
    assert "somebody else wrote it first" in said("PreconditionFailed", "PutObject", ConflictError)
    assert "as the server has it" in said("NotImplemented", "PutObject", UnsupportedError)
    assert said("NoSuchBucket", "ListObjectsV2") == "s3://cards/x: the bucket does not exist"


def test_a_failed_upload_is_worded_as_any_other_call():
    """boto3 wraps the server's answer for uploads alone."""
    with pytest.raises(RegistryError, match=r"^s3://cards/x: the bucket does not exist$"), s3.stated("s3://cards/x"):
        try:
            raise ClientError({"Error": {"Code": "NoSuchBucket"}}, "PutObject")
        except ClientError as error:
            raise S3UploadFailedError(f"Failed to upload: {error}")  # noqa: B904 - as boto3 does it
