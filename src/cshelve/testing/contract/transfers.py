"""Tests of `upload`, `download` and `copy`, which transfer whole values."""

from __future__ import annotations

import io

from cshelve.exceptions import ConflictError, KeyNotFoundError, StorageError
from cshelve.providers.streams import Source, Target
from cshelve.testing.contract._checks import error_of
from cshelve.testing.contract._place import PlaceOfATest

__all__ = ["TransfersContract"]

VALUE = bytes(range(251)) * (3 * 1024 * 1024 // 251)


class _Broken(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise EOFError("broken")
        return super().read(size)


class TransfersContract(PlaceOfATest):
    """The part of `ProviderContract` about `upload`, `download` and `copy`."""

    def test_an_upload_stores_what_a_file_has(self) -> None:
        with self.provider() as provider:
            for data in (b"", b"short", VALUE):
                for size_bytes in (None, len(data)):
                    moved: list[int] = []
                    source = Source(io.BytesIO(data), size_bytes, moved.append)
                    version = provider.upload("name", source)
                    assert provider.get("name") == (data, version)
                    assert sum(moved) == len(data)

    def test_an_upload_that_fails_stores_nothing(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"before")
            broken, shorter = Source(_Broken(VALUE)), Source(io.BytesIO(VALUE), len(VALUE) + 1)
            error_of(EOFError, lambda: provider.upload("name", broken))
            error_of(StorageError, lambda: provider.upload("name", shorter))
            assert provider.get("name").data == b"before"
            assert list(provider.names()) == ["name"]

    def test_a_download_writes_what_is_there(self) -> None:
        with self.provider() as provider:
            for data in (b"", b"short", VALUE):
                provider.put("name", data)
                file, sizes = io.BytesIO(), list[int]()
                provider.download("name", Target(file, sizes.append))
                assert file.getvalue() == data
                assert sizes == [len(data)]

    def test_a_download_of_an_absent_name_is_a_key_not_found_error(self) -> None:
        file = io.BytesIO()
        with self.provider() as provider:
            error_of(KeyNotFoundError, lambda: provider.download("a", Target(file)))
        assert file.getvalue() == b""

    def test_a_copy_is_there_beside_its_source(self) -> None:
        with self.provider() as provider:
            version = provider.put("users/42", b"value")
            provider.put("copies/42", b"before")
            provider.copy("users/42", "copies/42")
            provider.copy("users/42", "copies/43", if_version=version)
        names = ("users/42", "copies/42", "copies/43")
        assert [self.raw_read(name) for name in names] == [b"value"] * 3

    def test_a_copy_of_an_absent_name_is_a_key_not_found_error(self) -> None:
        with self.provider() as provider:
            error_of(KeyNotFoundError, lambda: provider.copy("a", "b"))
            assert not provider.contains("b")

    def test_a_copy_of_another_version_is_a_conflict(self) -> None:
        with self.provider() as provider:
            old = provider.put("a", b"old")
            provider.put("a", b"new")
            error_of(ConflictError, lambda: provider.copy("a", "b", if_version=old))
            assert not provider.contains("b")
