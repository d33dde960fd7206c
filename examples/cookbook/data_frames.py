"""Data frames in a bucket, as Parquet files that other programs read without cshelve.

Run it as ``STORE=s3://my-bucket python data_frames.py``.
"""

import io
import os
from collections.abc import Iterable

import pandas as pd
import pyarrow.dataset
from pyarrow.fs import FileSystem

import cshelve

STORE = os.environ.get("STORE", "s3://my-bucket")
TABLES = f"{STORE}/tables"

# Without serializer and header, each object is the bytes and nothing else.
tables: cshelve.Shelf[bytes] = cshelve.open(f"{TABLES}?serializer=bytes&use_versioning=false")


def save(name: str, frame: pd.DataFrame) -> None:
    tables[f"{name}.parquet"] = frame.to_parquet()


def load(name: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(tables[f"{name}.parquet"]))


def load_many(names: Iterable[str]) -> pd.DataFrame:
    """Return the rows of several tables, which are read in parallel."""
    found = tables.get_many(f"{name}.parquet" for name in names)
    return pd.concat([pd.read_parquet(io.BytesIO(data)) for _, data in found])


def main() -> None:
    for month, prices in (("2026-01", [3.5, 4.0]), ("2026-02", [3.0, 5.5])):
        save(month, pd.DataFrame({"month": month, "fruit": ["apple", "pear"], "price": prices}))
    print(load("2026-01"))
    print(load_many(["2026-01", "2026-02"]).groupby("fruit").price.mean())

    # From here on without cshelve. One object:
    print(pd.read_parquet(f"{TABLES}/2026-02.parquet"))
    # All of them as one table, of which only a few columns and rows are read:
    store, path = FileSystem.from_uri(TABLES)
    everything = pyarrow.dataset.dataset(path, filesystem=store)
    dear = everything.to_table(["month", "fruit"], filter=pyarrow.dataset.field("price") > 3.5)
    print(dear.to_pandas())


if __name__ == "__main__":
    main()
