"""An AWS Lambda function behind a function URL: `PUT` writes a note, and `GET` reads it.

Its variable SHELF is ``s3://my-bucket/notes?serializer=json&check_bucket=false`` and its handler
``aws_lambda.handler``.
"""

import os
from typing import Any

import cshelve

# Once for each instance of the function. With check_bucket=false, this sends no request.
notes: cshelve.Shelf[str] = cshelve.open(os.environ["SHELF"], "w")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    name = event["rawPath"].removeprefix("/")
    match event["requestContext"]["http"]["method"]:
        case "GET" if name:
            try:
                return {"statusCode": 200, "body": notes[name]}
            except KeyError:
                return {"statusCode": 404, "body": "there is no such note"}
        case "PUT" if name:
            notes[name] = event["body"]
            return {"statusCode": 204}
    return {"statusCode": 400, "body": "GET or PUT a name"}
