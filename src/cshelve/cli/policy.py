"""The command `policy`, which prints the permissions that a shelf in S3 needs."""

from __future__ import annotations

import json

import click

from cshelve._assembly import OpenArguments, provider_class_of
from cshelve._open import sections_of
from cshelve.cli.output import line
from cshelve.cli.shelves import program_options, shelf_argument
from cshelve.exceptions import ConfigurationError
from cshelve.options import PROVIDER
from cshelve.providers.base import FLAGS

__all__ = ["policy"]


@click.command()
@shelf_argument
@click.option(
    "--flag",
    type=click.Choice(list(FLAGS)),
    required=True,
    help="The flag of cshelve.open: r reads; w reads and writes; c and n also create the bucket.",
)
@program_options
def policy(name: str, flag: str) -> None:
    """Print the least IAM policy for a shelf in S3, as JSON.

    With it, a program can do everything that the flag allows, in this bucket and under this prefix
    only. The policy follows the options of the shelf: `[put_params]` with tags, an ACL, a lock or a
    KMS key need more permissions.

    Nothing is sent, and the credentials of the configuration are not read.
    """
    config = sections_of(name, flag)
    provider = provider_class_of(config, OpenArguments())
    from cshelve.providers.aws_s3 import permissions
    from cshelve.providers.aws_s3.provider import AwsS3

    if not issubclass(provider, AwsS3):
        raise ConfigurationError(
            f"{config.source}: only shelves in S3 have an IAM policy, and the provider of this one "
            f"is {config.take(PROVIDER)}."
        )
    document = permissions.policy(flag, permissions.scope_from(config))
    line(json.dumps(document, indent=2))
