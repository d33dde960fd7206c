"""HTTP/1.1 to an S3 server over plain sockets, without boto3: the direct engine.

`engine` sends one request at a time: it takes the operation's template and signs it (`templates`),
takes a connection from the pool (`connections`), and reads the answer (`answers`). `many` sends
many requests at once, each by an exchange (`exchange`) that never waits.

**boto3 decides all else.** A plain answer is accepted; after anything else (an odd answer, a
failure, a time-out) boto3 does the whole request again, with its retries, redirects and errors. So
nothing here retries, follows a redirect or explains an error, and nothing here imports boto3,
botocore or the rest of the provider.
"""
