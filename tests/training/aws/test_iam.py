"""What AWS is told, word for word."""

import re

import pytest

from fraud.errors import RegistryError
from training.aws import iam

ISSUER = "token.actions.githubusercontent.com"


@pytest.mark.parametrize("uri", ["s3://cards/fraud", "s3://cards/fraud/", "s3://cards/fraud//"])
def test_training_may_do_this_and_no_more(uri):
    """Objects below the prefix are read, written and deleted, and listed there; nothing else, nowhere else."""
    assert iam.access(uri) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ListPrefix",
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": ["arn:aws:s3:::cards"],
                "Condition": {"StringLike": {"s3:prefix": ["fraud/*"]}},
            },
            {
                "Sid": "ReadAndWriteObjects",
                "Effect": "Allow",
                "Action": [
                    "s3:GetObject",
                    "s3:PutObject",
                    "s3:DeleteObject",
                    "s3:AbortMultipartUpload",
                    "s3:ListMultipartUploadParts",
                ],
                "Resource": ["arn:aws:s3:::cards/fraud/*"],
            },
        ],
    }


def test_serving_may_only_read():
    """The read-only policy lists and gets below the prefix."""
    listing, objects = iam.access("s3://cards/fraud/live", read_only=True)["Statement"]
    assert listing == iam.access("s3://cards/fraud/live")["Statement"][0]
    assert objects == {
        "Sid": "ReadObjects",
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::cards/fraud/live/*"],
    }


def test_a_bucket_without_prefix_is_ours_as_a_whole():
    """Then listing needs no condition, and objects are all of the bucket."""
    listing, objects = iam.access("s3://cards")["Statement"]
    assert "Condition" not in listing
    assert objects["Resource"] == ["arn:aws:s3:::cards/*"]


@pytest.mark.parametrize("prefix", ["fr*", "fr?ud", "${aws:username}"])
def test_a_prefix_that_iam_reads_as_a_pattern_is_refused(prefix):
    """Such a policy would open more than it names."""
    with pytest.raises(RegistryError, match="as patterns"):
        iam.access(f"s3://cards/{prefix}")


def test_trust_in_the_names_of_a_repository():
    """Without GitHub's numbers the older form of the subject is trusted, of one branch alone."""
    assert iam.trust("octo-org/octo-repo", account="123456789012") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{ISSUER}:aud": "sts.amazonaws.com",
                        f"{ISSUER}:sub": ["repo:octo-org/octo-repo:ref:refs/heads/main"],
                    }
                },
            }
        ],
    }


def test_trust_with_immutable_ids():
    """With the numbers both forms are trusted, and the repository's number must fit whichever form comes."""
    [statement] = iam.trust("octo-org/octo-repo", "live", ids=("123456", "456789"))["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {
            f"{ISSUER}:aud": "sts.amazonaws.com",
            f"{ISSUER}:sub": [
                "repo:octo-org/octo-repo:ref:refs/heads/live",
                "repo:octo-org@123456/octo-repo@456789:ref:refs/heads/live",
            ],
            f"{ISSUER}:repository_id": "456789",
        }
    }


def test_everything_that_the_set_up_makes_is_removed():
    """For each role and user: policy, keys and itself, in an order that IAM accepts."""
    removal = iam.removal()
    assert set(removal) == {"role fraud-training", "role fraud-serving", "user fraud-training", "user fraud-serving"}
    verbs = {name: re.findall(r"aws iam (\S+)", " ".join(commands)) for name, commands in removal.items()}
    assert verbs["role fraud-training"] == ["delete-role-policy", "delete-role"]
    keys = ["list-access-keys", "delete-access-key"]
    assert verbs["user fraud-serving"] == [*keys, "delete-user-policy", "delete-user"]
    for name, commands in removal.items():
        assert all(f"-name {name.split()[1]}" in command for command in commands)
