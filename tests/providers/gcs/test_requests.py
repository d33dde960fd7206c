"""The requests as they reach the server, which answers as Google documents it."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest

import cshelve
from cshelve.providers.streams import Source, Target
from testbed.scripted_server import CLOSE
from tests.providers.gcs.wire import (
    NO_BUCKET,
    NO_OBJECT,
    NOT_HELD,
    Wire,
    error,
    media,
    response,
    wire,
    written,
)

pytestmark = pytest.mark.gcs

OBJECT = "/storage/v1/b/bucket/o/app/k"
CHUNK = 8 << 20


def row(name: str) -> dict[str, str]:
    return {
        "name": name,
        "size": "1",
        "generation": "7",
        "timeCreated": "2026-11-29T00:44:25.123Z",
    }


class TestReading:
    def test_one_request_brings_data_and_generation(self, server: Wire) -> None:
        server.answers(media(b"value", 7))
        assert server.provider.get("k") == (b"value", "7")
        [asked] = server.asked
        assert (asked.method, asked.path) == ("GET", f"/download{OBJECT}")
        assert asked.query == {"alt": "media"}
        # Otherwise Google would decompress objects with Content-Encoding gzip.
        assert asked.headers["accept-encoding"] == "gzip"

    def test_data_that_is_compressed_in_the_store_stays_so(self, server: Wire) -> None:
        server.answers(media(b"\x1f\x8bnot really", headers={"Content-Encoding": "gzip"}))
        assert server.provider.get("k").data == b"\x1f\x8bnot really"

    def test_one_request_for_the_first_bytes_inspects(self, server: Wire) -> None:
        server.answers(media(b"0123", 7, 206, {"Content-Range": "bytes 0-3/1000"}))
        details = server.provider.inspect("k", 4)
        assert (details.size_bytes, details.head, details.version) == (1000, b"0123", "7")
        [asked] = server.asked
        assert asked.headers["range"] == "bytes=0-3"

    def test_one_request_for_the_first_bytes_tells_when_a_value_expires(self, server: Wire) -> None:
        server.provider.expiry_of = lambda data: 5.0 if data == b"until 5" else None
        server.answers(media(b"until 5", 7, 206, {"Content-Range": "bytes 0-6/7"}))
        assert server.provider.expires_at("k") == 5.0
        [asked] = server.asked
        assert asked.headers["range"] == "bytes=0-63"

    def test_a_missing_object_costs_one_request(self, server: Wire) -> None:
        server.answers(response(404, NO_OBJECT.encode()), error(404, NO_OBJECT))
        with pytest.raises(cshelve.KeyNotFoundError):
            server.provider.get("k")
        assert server.provider.contains("k") is False
        assert server.methods == ["GET", "GET"]

    def test_a_missing_bucket_is_no_missing_object(self, server: Wire) -> None:
        server.answers(response(404, NO_BUCKET.encode()), error(404, NO_BUCKET))
        for read in (server.provider.get, server.provider.contains):
            with pytest.raises(cshelve.DBDoesNotExistsError):
                read("k")

    def test_a_404_that_says_nothing_is_decided_by_a_listing(self, server: Wire) -> None:
        server.answers(response(404, b"Not Found"), response(200, {}))
        with pytest.raises(cshelve.KeyNotFoundError):
            server.provider.get("k")
        server.answers(response(404, b"Not Found"), error(404, NO_BUCKET))
        with pytest.raises(cshelve.DBDoesNotExistsError):
            server.provider.get("k")
        server.answers(response(404, b"<html>"), response(404, b"<html>"))
        with pytest.raises(cshelve.StorageError, match="responded with 404") as caught:
            server.provider.get("k")
        assert not isinstance(caught.value, KeyError)

    def test_a_response_of_another_server_is_no_value(self, server: Wire) -> None:
        server.answers(response(200, b"<html>welcome</html>"))
        with pytest.raises(cshelve.StorageError, match="x-goog-generation"):
            server.provider.get("k")


class TestListings:
    def test_pages_have_a_thousand_names(self, server: Wire) -> None:
        server.answers(
            response(200, {"items": [row("app/a"), row("app/b")], "nextPageToken": "t/1"}),
            response(200, {"items": [row("app/c")]}),
        )
        assert list(server.provider.names("")) == ["a", "b", "c"]
        first, second = server.asked
        assert (first.path, first.query["maxResults"]) == ("/storage/v1/b/bucket/o", "1000")
        assert first.query["prefix"] == "app/"
        assert first.query["fields"] == "items(name,size,generation,timeCreated),nextPageToken"
        assert second.query == {**first.query, "pageToken": "t/1"}

    def test_start_after_is_the_start_offset_without_its_own_name(self, server: Wire) -> None:
        server.answers(response(200, {"items": [row("app/b"), row("app/c"), row("app/d")]}))
        assert list(server.provider.names("", start_after="b", limit=1)) == ["c"]
        [asked] = server.asked
        assert asked.query["startOffset"] == "app/b"
        assert asked.query["maxResults"] == "2"

    def test_the_folder_that_a_console_creates_is_no_key(self, server: Wire) -> None:
        server.answers(response(200, {"items": [row("app/"), row("app/a")]}))
        assert list(server.provider.names(limit=1)) == ["a"]

    def test_what_is_no_listing_is_an_error(self, server: Wire) -> None:
        server.answers(response(200, b"<html>"), response(200, {"items": [{"name": "app/a"}]}))
        for _ in range(2):
            with pytest.raises(cshelve.StorageError, match="cannot be read"):
                list(server.provider.names())


class TestWriting:
    def test_a_put_is_one_request_with_a_checksum(self, server: Wire) -> None:
        server.provider.content_type = "application/json"
        server.answers(written(8))
        assert server.provider.put("k", b"value") == "8"
        [asked] = server.asked
        assert (asked.method, asked.path) == ("POST", "/upload/storage/v1/b/bucket/o")
        assert asked.query == {"uploadType": "multipart", "fields": "generation"}
        properties = asked.properties
        # Without the C extension, computing it would take too long.
        assert properties.pop("crc32c", None) in (None, _crc32c(b"value"))
        assert properties == {"name": "app/k", "contentType": "application/json"}
        assert b"Content-Type: application/json\r\n\r\nvalue\r\n--" in asked.body

    def test_if_absent_is_generation_0(self, server: Wire) -> None:
        server.answers(written(8), error(412, NOT_HELD))
        assert server.provider.put("k", b"value", if_absent=True) == "8"
        with pytest.raises(cshelve.ConflictError, match="another writer was first"):
            server.provider.put("k", b"value", if_absent=True)
        assert [asked.query["ifGenerationMatch"] for asked in server.asked] == ["0", "0"]
        tokens = {asked.properties["metadata"]["cshelve-token"] for asked in server.asked}
        assert len(tokens) == 2

    def test_if_version_is_that_generation(self, server: Wire) -> None:
        server.answers(written(8), error(412, NOT_HELD))
        assert server.provider.put("k", b"value", if_version="7") == "8"
        with pytest.raises(cshelve.ConflictError):
            server.provider.put("k", b"value", if_version="7")
        assert [asked.query["ifGenerationMatch"] for asked in server.asked] == ["7", "7"]

    def test_an_absent_object_does_not_have_that_generation(self, server: Wire) -> None:
        server.answers(error(404, NO_OBJECT), error(404, NO_BUCKET))
        with pytest.raises(cshelve.ConflictError, match="deleted since"):
            server.provider.put("k", b"value", if_version="7")
        with pytest.raises(cshelve.DBDoesNotExistsError):
            server.provider.put("k", b"value", if_version="7")

    @pytest.mark.parametrize("version", ["", "0", "*", "-1", "7&x=1", '"etag"', "9" * 20])
    def test_what_is_no_generation_is_never_sent_as_one(self, version: str, server: Wire) -> None:
        with pytest.raises(cshelve.ConflictError, match="not a generation"):
            server.provider.put("k", b"value", if_version=version)
        with pytest.raises(cshelve.ConflictError, match="not a generation"):
            server.provider.delete("k", if_version=version)
        assert server.asked == []

    def test_a_conditional_delete_has_its_generation(self, server: Wire) -> None:
        server.answers(response(204), error(412, NOT_HELD), error(404, NO_OBJECT))
        assert server.provider.delete("k", if_version="7") is True
        with pytest.raises(cshelve.ConflictError):
            server.provider.delete("k", if_version="7")
        assert server.provider.delete("k", if_version="7") is False
        for asked in server.asked:
            assert (asked.method, asked.path) == ("DELETE", OBJECT)
            assert asked.query == {"ifGenerationMatch": "7"}

    def test_a_delete_tells_what_was_there(self, server: Wire) -> None:
        server.answers(response(204), error(404, NO_OBJECT), error(404, NO_BUCKET))
        assert server.provider.delete("k") is True
        assert server.provider.delete("k") is False
        with pytest.raises(cshelve.DBDoesNotExistsError):
            server.provider.delete("k")
        assert [asked.query for asked in server.asked] == [{}] * 3

    def test_a_page_of_another_server_does_not_mean_that_the_value_is_stored(
        self, server: Wire
    ) -> None:
        server.answers(response(200, b"<html>welcome</html>"))
        with pytest.raises(cshelve.StorageError, match="not known whether the value is stored"):
            server.provider.put("k", b"value")


class TestLargeValues:
    DATA = bytes(range(256)) * (CHUNK // 256) + b"the rest"

    def begun(self, server: Wire) -> bytes:
        return response(200, b"", {"Location": f"{server.server.endpoint_url}/session?upload_id=1"})

    def test_are_sent_in_chunks_of_which_the_last_stores_them(self, server: Wire) -> None:
        more = response(308, b"", {"Range": f"bytes=0-{CHUNK - 1}"})
        server.answers(self.begun(server), more, written(9))
        assert server.provider.put("k", self.DATA) == "9"
        begin, first, last = server.asked
        assert begin.query == {"uploadType": "resumable", "fields": "generation"}
        assert begin.headers["x-upload-content-type"] == "application/octet-stream"
        assert (first.path, first.query) == ("/session", {"upload_id": "1"})
        assert first.headers["content-range"] == f"bytes 0-{CHUNK - 1}/*"
        assert last.headers["content-range"] == f"bytes {CHUNK}-{CHUNK + 7}/{CHUNK + 8}"
        assert first.body + last.body == self.DATA

    def test_have_their_condition_where_they_begin(self, server: Wire) -> None:
        more = response(308, b"", {"Range": f"bytes=0-{CHUNK - 1}"})
        cancelled = response(499)
        server.answers(self.begun(server), more, error(412, NOT_HELD), cancelled)
        with pytest.raises(cshelve.ConflictError):
            server.provider.put("k", self.DATA, if_version="7")
        assert server.asked[0].query["ifGenerationMatch"] == "7"
        assert server.methods == ["POST", "PUT", "PUT", "DELETE"]

    def test_go_on_where_the_server_has_them_after_a_failure(self, server: Wire) -> None:
        half = response(308, b"", {"Range": "bytes=0-262143"})
        more = response(308, b"", {"Range": f"bytes=0-{CHUNK - 1}"})
        server.answers(self.begun(server), response(503), half, more, written(9))
        assert server.provider.put("k", self.DATA) == "9"
        ranges = [asked.headers["content-range"] for asked in server.asked[1:]]
        assert ranges == [
            f"bytes 0-{CHUNK - 1}/*",
            "bytes */*",
            f"bytes 262144-{CHUNK - 1}/*",
            f"bytes {CHUNK}-{CHUNK + 7}/{CHUNK + 8}",
        ]
        assert server.asked[3].body == self.DATA[262144:CHUNK]

    def test_are_stored_once_although_the_last_response_is_lost(self, server: Wire) -> None:
        more = response(308, b"", {"Range": f"bytes=0-{CHUNK - 1}"})
        server.answers(self.begun(server), more, response(503), written(9))
        assert server.provider.put("k", self.DATA) == "9"
        assert server.asked[-1].headers["content-range"] == f"bytes */{CHUNK + 8}"
        assert server.asked[-1].body == b""

    def test_an_upload_whose_file_cannot_be_read_is_cancelled(self, server: Wire) -> None:
        more = response(308, b"", {"Range": f"bytes=0-{CHUNK - 1}"})
        server.answers(self.begun(server), more, response(499))
        source = Source(io.BytesIO(self.DATA), len(self.DATA) + 1)
        with pytest.raises(cshelve.StorageError, match="changed its size"):
            server.provider.upload("k", source)
        assert server.methods == ["POST", "PUT", "DELETE"]

    def test_a_server_that_ends_an_upload_early_is_an_error(self, server: Wire) -> None:
        # As fake-gcs-server does when it is asked what has arrived.
        server.answers(self.begun(server), response(503), written(9), response(499))
        with pytest.raises(cshelve.StorageError, match="before its last chunk"):
            server.provider.put("k", self.DATA)

    def test_a_server_that_loses_bytes_is_an_error(self, server: Wire) -> None:
        server.answers(
            self.begun(server),
            response(308, b"", {"Range": f"bytes=0-{CHUNK - 1}"}),
            response(308, b"", {"Range": "bytes=0-9"}),
            response(499),
        )
        with pytest.raises(cshelve.StorageError, match="which bytes"):
            server.provider.put("k", self.DATA)

    def test_a_download_goes_on_where_it_broke_off_with_the_same_generation(
        self, server: Wire
    ) -> None:
        whole = media(b"0123456789", 7)
        rest = media(b"6789", 7, 206, {"Content-Range": "bytes 6-9/10"})
        server.answers([whole[:-4], CLOSE], rest)
        file = io.BytesIO()
        server.provider.download("k", Target(file))
        assert file.getvalue() == b"0123456789"
        first, second = server.asked
        assert "range" not in first.headers
        assert second.headers["range"] == "bytes=6-"
        assert second.query == {"alt": "media", "generation": "7"}

    def test_a_download_of_what_was_replaced_meanwhile_is_an_error(self, server: Wire) -> None:
        server.answers([media(b"0123456789", 7)[:-4], CLOSE], response(404, NO_OBJECT.encode()))
        with pytest.raises(cshelve.ConflictError, match="replaced or deleted"):
            server.provider.download("k", Target(io.BytesIO()))


class TestCopies:
    URL = f"{OBJECT}/rewriteTo/b/bucket/o/app/target"

    def test_a_rewrite_goes_on_until_it_is_done(self, server: Wire) -> None:
        begun = response(200, {"done": False, "rewriteToken": "t"})
        server.answers(begun, response(200, {"done": True}))
        server.provider.copy("k", "target", if_version="7")
        first, second = server.asked
        assert (first.method, first.path) == ("POST", self.URL)
        assert first.query["ifSourceGenerationMatch"] == "7"
        assert second.query == {**first.query, "rewriteToken": "t"}

    def test_of_another_generation_are_a_conflict(self, server: Wire) -> None:
        server.answers(error(412, NOT_HELD))
        with pytest.raises(cshelve.ConflictError):
            server.provider.copy("k", "target", if_version="7")

    def test_of_what_is_absent_say_so(self, server: Wire) -> None:
        server.answers(error(404, NO_OBJECT), error(404, NO_BUCKET), response(200, {}))
        with pytest.raises(cshelve.KeyNotFoundError):
            server.provider.copy("k", "target")
        with pytest.raises(cshelve.DBDoesNotExistsError):
            server.provider.copy("k", "target")
        with pytest.raises(cshelve.StorageError, match="whether the copy is done"):
            server.provider.copy("k", "target")


class TestBuckets:
    def test_are_created_in_a_project_and_a_location(self) -> None:
        with wire(project="ours", bucket_location="europe-west1") as server:
            server.answers(response(200, {}))
            server.provider.create()
            [asked] = server.asked
        assert (asked.method, asked.path) == ("POST", "/storage/v1/b")
        assert asked.query == {"project": "ours"}
        assert asked.body == b'{"name": "bucket", "location": "europe-west1"}'

    def test_that_others_have_created_meanwhile_are_ours_if_we_may_list_them(
        self, server: Wire
    ) -> None:
        server.answers(error(409, "already exists"), response(200, {}))
        server.provider.create()
        server.answers(error(409, "already exists"), error(403, "no access"))
        with pytest.raises(cshelve.CanNotCreateDBError, match="already exists"):
            server.provider.create()

    def test_need_a_project_and_a_permission(self, server: Wire) -> None:
        server.answers(error(400, "Required parameter: project"), error(403, "denied"))
        with pytest.raises(cshelve.CanNotCreateDBError, match=r"\[provider_params\] project"):
            server.provider.create()
        with pytest.raises(cshelve.CreateRefusedError, match=r"storage\.buckets\.create"):
            server.provider.create()


class TestKeys:
    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({}, ""),
            ({}, "line\nend"),
            ({}, "n" * 1021),
            ({"key_prefix": None}, "."),
            ({"key_prefix": None}, ".."),
            ({"key_prefix": None}, ".well-known/acme-challenge/x"),
        ],
    )
    def test_that_no_object_can_have_are_refused_without_a_request(
        self, options: dict[str, Any], name: str
    ) -> None:
        with wire(**options) as server:
            with pytest.raises(cshelve.KeyNotStorableError):
                server.provider.put(name, b"value")
            with pytest.raises(cshelve.KeyNotFoundError):
                server.provider.get(name)
            assert not server.provider.contains(name)
            assert server.provider.expires_at(name) is None
            assert server.provider.delete(name) is False
            assert server.asked == []

    def test_that_the_server_refuses_are_not_storable(self, server: Wire) -> None:
        server.answers(error(400, "The specified object name is not valid."))
        with pytest.raises(cshelve.KeyNotStorableError):
            server.provider.put("\x7f", b"value")


def _crc32c(data: bytes) -> str:
    import google_crc32c

    value: int = google_crc32c.value(data)
    return base64.b64encode(value.to_bytes(4, "big")).decode()
