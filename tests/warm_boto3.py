"""Read what boto3 needs for a first client, in a process that others are forked from."""

from __future__ import annotations

import botocore.session

from cshelve.providers.aws_s3.session import loader_of

_session = botocore.session.get_session()
_session.register_component("data_loader", loader_of(_session))
_session.create_client(
    "s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
)
