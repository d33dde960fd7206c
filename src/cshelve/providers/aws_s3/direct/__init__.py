"""HTTP/1.1 to an S3 server over plain sockets: the hot path, without boto3.

The way of a request: `engine` finds its template (`templates`), signs it (`signing`), takes a
connection (`connections`), and reads what comes back (`answers`). Many requests at once are in
`many`. `plain` knows which configurations boto3 need not be asked about.

**boto3 stays the authority.** An answer that is plainly one is taken; after anything else (an odd
answer, a failure, a time-out) boto3 does the whole request again, with its retries, redirects and
errors. So nothing here retries, follows a redirect or explains an error, and nothing here imports
boto3 or botocore.
"""
