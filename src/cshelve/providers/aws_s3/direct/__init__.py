"""HTTP/1.1 to an S3 server over plain sockets, without boto3: the direct engine.

`engine` sends one request at a time. It builds and signs the request from the operation's template
(`templates`), takes a connection from the pool (`connections`), and reads the response (`answers`).
`many` sends many requests at once, each over a non-blocking connection (`exchange`).

**boto3 handles everything else.** The engine accepts only a plain response. After anything else (an
unusual response, a failure, a time-out) boto3 sends the whole request again, with its own retries,
redirects and errors. So nothing here retries, follows a redirect or explains an error, and nothing
here imports boto3, botocore or the rest of the provider.
"""
