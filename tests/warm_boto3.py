"""Read what boto3 needs for a first client, in a process that others are forked from."""

from __future__ import annotations

from contextlib import suppress

import botocore.session
from botocore.exceptions import BotoCoreError

from cshelve.providers.aws_s3.session import loader_of

# The environment may be that of a test about settings that boto3 refuses.
with suppress(BotoCoreError):
    session = botocore.session.get_session()
    session.register_component("data_loader", loader_of(session))
    session.create_client(
        "s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
    )
