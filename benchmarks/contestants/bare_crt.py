"""AWS's Common Runtime with nothing round it: no checks, no repetition, no decoding."""

from __future__ import annotations

import io
from collections.abc import Iterable
from threading import Semaphore

from awscrt.auth import AwsCredentialsProvider, AwsSigningConfig
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup
from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType, create_default_s3_signing_config

from benchmarks.contestants.turns import Place, Turns, Values
from benchmarks.machine import versions

REGION = "us-east-1"


class BareCrt:
    """Many requests at once, as many in flight as the place says."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._host = place.endpoint_url.removeprefix("http://")
        loops = EventLoopGroup(1)
        provider = AwsCredentialsProvider.new_static(place.access_key, place.secret_key)
        self._signing: AwsSigningConfig = create_default_s3_signing_config(
            region=REGION, credential_provider=provider
        )
        self._client = S3Client(
            bootstrap=ClientBootstrap(loops, DefaultHostResolver(loops)),
            region=REGION,
            tls_mode=S3RequestTlsMode.DISABLED,
            throughput_target_gbps=100.0,
            max_active_connections_override=place.concurrency,
        )

    def write(self, values: Values) -> None:
        self._all("PutObject", ((key, self._put(key, value)) for key, value in values.items()))

    def read(self, values: Values) -> Values:
        answers = self._all("GetObject", ((key, self._request("GET", key)) for key in values))
        return {key: b"".join(pieces) for key, pieces in answers.items()}

    def _put(self, key: str, value: bytes) -> HttpRequest:
        return self._request("PUT", key, ("Content-Length", str(len(value))), body=value)

    def _request(
        self, method: str, key: str, *headers: tuple[str, str], body: bytes | None = None
    ) -> HttpRequest:
        stream = None if body is None else io.BytesIO(body)
        path = f"/{self._place.bucket}/{self._place.prefix}{key}"
        return HttpRequest(method, path, HttpHeaders([("Host", self._host), *headers]), stream)

    def _all(
        self, operation: str, requests: Iterable[tuple[str, HttpRequest]]
    ) -> dict[str, list[bytes]]:
        """Send them all, and give the pieces of each answer's body."""
        permits = Semaphore(self._place.concurrency)
        answers: dict[str, list[bytes]] = {}
        sent = []
        for key, request in requests:
            permits.acquire()
            pieces = answers[key] = []
            sent.append(
                self._client.make_request(
                    type=S3RequestType.DEFAULT,
                    operation_name=operation,
                    request=request,
                    signing_config=self._signing,
                    on_body=lambda chunk, pieces=pieces, **_: pieces.append(chunk),
                    on_done=lambda **_: permits.release(),
                )
            )
        for each in sent:
            each.finished_future.result()
        return answers


def main() -> None:
    turns = Turns()
    bare = BareCrt(turns.place)
    turns.take({"write": bare.write, "read": bare.read}, versions("awscrt"))


if __name__ == "__main__":
    main()
