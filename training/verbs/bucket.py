"""Verbs on the bucket itself: bucket create, policy, trust, destroy."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from fraud import command
from fraud.argument_types import matching, positive
from fraud.command import CommandResult, Verbs
from fraud.errors import RegistryError
from fraud.remote.resolve import registry
from training.aws import bucket, iam
from training.aws.bucket import NONCURRENT_DAYS, Contents
from training.console import Steps
from training.verbs import PROGRAM

_repository = matching(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", "OWNER/REPO")
_account = matching(r"\d{12}", "the 12 digits of an AWS account")
_id = matching(r"[1-9]\d*", "GitHub's number of it")
_SECONDS_BETWEEN_NEWS = 2


def add_to(verbs: Verbs) -> None:
    """Register the verbs."""
    group = verbs.add_parser("bucket", help="Set up the bucket of FRAUD_S3_URI on AWS, and remove it again.")
    actions = group.add_subparsers(required=True, metavar="create|policy|trust|destroy")
    create = command.subcommand(
        actions,
        "create",
        _create,
        "Make the bucket if it is not there; set and read back its protections. Exits 1 when the server lacks one.",
        f"{PROGRAM} bucket create",
        f"{PROGRAM} bucket create --noncurrent-days 30 --allow-missing",
    )
    create.add_argument("--allow-missing", action="store_true", help="exit 0 even when the server lacks a protection")
    create.add_argument(
        "--noncurrent-days",
        type=positive,
        default=NONCURRENT_DAYS,
        metavar="N",
        help=f"days to keep an object that was replaced or deleted (default {NONCURRENT_DAYS})",
    )

    policy = command.subcommand(
        actions,
        "policy",
        _policy,
        "Print the IAM policy with the least that training needs; with --read-only, that serving needs.",
        f"{PROGRAM} bucket policy > training.json",
        f"{PROGRAM} bucket policy --read-only > serving.json",
    )
    policy.add_argument("--read-only", action="store_true", help="for serving: read and list, nothing else")

    trust = command.subcommand(
        actions,
        "trust",
        _trust,
        "Print the trust policy that lets the workflows of one branch of a GitHub repository take an AWS role.",
        f"{PROGRAM} bucket trust --repository OWNER/REPO --account 123456789012",
        f"{PROGRAM} bucket trust --repository OWNER/REPO --account 123456789012 --owner-id 11 --repository-id 22",
    )
    trust.add_argument("--repository", type=_repository, required=True, metavar="OWNER/REPO")
    trust.add_argument(
        "--branch", default="main", help="the branch whose workflows may, in jobs without an environment (default main)"
    )
    trust.add_argument("--account", type=_account, metavar="ID", help="number of the AWS account")
    trust.add_argument("--owner-id", type=_id, metavar="ID", help="gh api repos/OWNER/REPO --jq .owner.id")
    trust.add_argument("--repository-id", type=_id, metavar="ID", help="gh api repos/OWNER/REPO --jq .id")

    destroy = command.subcommand(
        actions,
        "destroy",
        _destroy,
        "Delete the bucket with every version in it, and print the commands that remove the roles, users and keys.",
        f"{PROGRAM} bucket destroy",
        f"{PROGRAM} bucket destroy --yes",
    )
    destroy.add_argument("--yes", action="store_true", help="do not ask for the bucket's name")


def _create(arguments: argparse.Namespace) -> CommandResult:
    created = bucket.create(registry().uri, arguments.noncurrent_days)
    for name, problem in created.missing.items():
        Steps().warn(f"{name}: {problem}")
    fails = bool(created.missing) and not arguments.allow_missing
    if fails:
        Steps().say(f"error: s3://{created.bucket} lacks {', '.join(created.missing)}; --allow-missing accepts that")
    return CommandResult(created.as_dict(), command.EXIT_ERROR if fails else 0)


def _policy(arguments: argparse.Namespace) -> dict[str, Any]:
    return iam.access(registry().uri, read_only=arguments.read_only)


def _trust(arguments: argparse.Namespace) -> dict[str, Any]:
    if (arguments.owner_id is None) != (arguments.repository_id is None):
        arguments.wrong_usage("--owner-id and --repository-id go together")
    if arguments.account is None:
        Steps().warn(f"no --account: put the number of yours in place of {iam.ACCOUNT}")
    if arguments.owner_id is None:
        Steps().warn(
            "without --owner-id and --repository-id only the older form of the subject is trusted: a repository that "
            "was created, renamed or moved after 15 July 2026 is not, and whoever gets hold of the name is"
        )
    ids = (arguments.owner_id, arguments.repository_id) if arguments.owner_id else None
    return iam.trust(arguments.repository, arguments.branch, arguments.account or iam.ACCOUNT, ids)


def _destroy(arguments: argparse.Namespace) -> dict[str, Any]:
    steps = Steps()
    agree = _announce if arguments.yes else _ask
    contents = bucket.destroy(registry().uri, lambda contents: agree(contents, steps), _news(steps))
    steps.say(f"s3://{contents.bucket} is gone")
    return {"bucket": f"s3://{contents.bucket}", "deleted": contents.counts(), "then_remove": iam.removal()}


def _announce(contents: Contents, steps: Steps) -> None:
    steps.say(f"Deleting s3://{contents.bucket}: {contents.described()} ...")


def _ask(contents: Contents, steps: Steps) -> None:
    """Go on if the bucket's name is typed. Raises RegistryError for another answer, or when nobody can be asked."""
    if not sys.stdin.isatty():
        raise RegistryError(f"s3://{contents.bucket}: there is nobody to ask; --yes deletes it without asking")
    steps.say(f"This deletes s3://{contents.bucket} for good: {contents.described()}.")
    try:
        answer = steps.console.input("Type the bucket's name to go on: ")
    except EOFError:
        answer = ""
    if answer.strip() != contents.bucket:
        raise RegistryError(f"that is not {contents.bucket}: nothing was deleted")


def _news(steps: Steps) -> Callable[[int], None]:
    """Tells of a long deletion every few seconds."""
    last = time.monotonic()

    def progress(gone: int) -> None:
        nonlocal last
        if time.monotonic() - last > _SECONDS_BETWEEN_NEWS:
            last = time.monotonic()
            steps.say(f"  {gone} gone ...")

    return progress
