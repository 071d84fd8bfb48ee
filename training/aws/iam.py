"""What AWS is told: who may do what in the bucket, whose workflows may take that role, and how it is all removed.

Pure functions from names to documents; ``training/verbs/bucket.py`` prints them, a person gives them to AWS.
"""

from typing import Any

from fraud.errors import RegistryError
from fraud.remote import s3

VERSION = "2012-10-17"  # of the policy language
ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
ACCOUNT = "ACCOUNT_ID"
"""Stands where the account's number goes; AWS refuses it, so a forgotten one cannot do harm."""

TRAINING, SERVING = "fraud-training", "fraud-serving"
"""Names of the role or user that trains and of the one that serves."""
POLICY = "fraud-s3"
"""Name of the inline policy of each."""

READ = ["s3:GetObject"]
# A multipart upload is begun, filled and completed with PutObject. ListBucketMultipartUploads is left out: it cannot
# be limited to a prefix, and what an interrupted upload leaves is swept up by the bucket's lifecycle.
WRITE = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]


def access(uri: str, *, read_only: bool = False) -> dict[str, Any]:
    """The least that training (or, ``read_only``, serving) needs at ``s3://bucket/prefix``, as an IAM policy.

    Without ListBucket S3 says 403 for an object that is not there, and a first champion could not be told from a
    forbidden one. Its condition covers that too: S3 then takes the object's key for ``s3:prefix``. Raises
    RegistryError when the prefix holds a character that IAM would read as a pattern.
    """
    bucket, prefix = place(uri)
    if set(prefix) & set("*?$"):
        raise RegistryError(f"{uri}: IAM reads *, ? and $ as patterns; choose a prefix without them")
    listing: dict[str, Any] = {
        "Sid": "ListPrefix",
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}"],
    }
    if prefix:
        listing["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}*"]}}
    objects = {
        "Sid": "ReadObjects" if read_only else "ReadAndWriteObjects",
        "Effect": "Allow",
        "Action": READ if read_only else READ + WRITE,
        "Resource": [f"arn:aws:s3:::{bucket}/{prefix}*"],
    }
    return {"Version": VERSION, "Statement": [listing, objects]}


def trust(
    repository: str, branch: str = "main", account: str = ACCOUNT, ids: tuple[str, str] | None = None
) -> dict[str, Any]:
    """A role's trust policy: workflows of one branch of ``OWNER/REPO`` may take it, and nobody else.

    ``ids`` are GitHub's numbers of the owner and the repository. With them both forms of the subject are accepted:
    the one of names and the immutable one, which repositories have that were created, renamed or moved after
    15 July 2026; and the repository's number must fit in either case, so that a name that changed hands is worth
    nothing. https://docs.github.com/en/actions/reference/security/oidc#immutable-subject-claims
    """
    matches: dict[str, str | list[str]] = {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": [_subject(repository, branch)]}
    if ids:
        owner, name = repository.split("/")
        immutable = f"{owner}@{ids[0]}/{name}@{ids[1]}"
        matches[f"{ISSUER}:sub"] = [_subject(repository, branch), _subject(immutable, branch)]
        matches[f"{ISSUER}:repository_id"] = ids[1]
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{account}:oidc-provider/{ISSUER}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": matches},
    }
    return {"Version": VERSION, "Statement": [statement]}


def removal() -> dict[str, list[str]]:
    """The aws commands that remove what the README set up beside the bucket: roles, and users with their keys."""
    return {
        **{f"role {name}": _remove_role(name) for name in (TRAINING, SERVING)},
        **{f"user {name}": _remove_user(name) for name in (TRAINING, SERVING)},
    }


def place(uri: str) -> tuple[str, str]:
    """Bucket of ``s3://bucket/prefix``, and the prefix with one slash at its end, or "" for the bucket as a whole."""
    bucket, key = s3.split(uri)
    key = key.rstrip("/")
    return bucket, f"{key}/" if key else ""


def _subject(repository: str, branch: str) -> str:
    return f"repo:{repository}:ref:refs/heads/{branch}"


def _remove_role(name: str) -> list[str]:
    return [
        f"aws iam delete-role-policy --role-name {name} --policy-name {POLICY}",
        f"aws iam delete-role --role-name {name}",
    ]


def _remove_user(name: str) -> list[str]:
    keys = f"aws iam list-access-keys --user-name {name} --query 'AccessKeyMetadata[].AccessKeyId' --output text"
    delete = f'aws iam delete-access-key --user-name {name} --access-key-id "$key"'
    return [
        f"for key in $({keys}); do {delete}; done",
        f"aws iam delete-user-policy --user-name {name} --policy-name {POLICY}",
        f"aws iam delete-user --user-name {name}",
    ]
