#!/usr/bin/env python3
"""Writes tests/data/data_sets: small tables as hubs and other programs write them, all with the same five records.

talks_CODEC.parquet     id, image struct<bytes, path>, conversations list<struct<from, value>>; two records a row group
                        (snappy: with the metadata of a hub, and a column that is not read)
pages.parquet           the same, 40 times over, in small pages of version 2
plain.parquet           image as bytes, question and answer as dictionaries of strings
required.parquet        1100 questions and answers without nulls, in many pages, each of which begins with a byte that no
                        header of a page begins with
talks.arrow             a stream, as the datasets library writes; talks_file.arrow, talks_zstd.arrow: files
dictionary.arrow        a file whose answers are a dictionary
lz4.arrow, lz4.parquet, brotli.parquet
                        packed by methods that are not read

Record i has the picture i + 1 pixels wide; record 2's lies in a file, record 3 has none, record 4's has no path.

Needs pyarrow (made with 26.0.1). Usage: python3 tools/make_table_fixtures.py
"""
import json
import pathlib
import struct
import zlib

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/data_sets"


def png(width):
    """A grey picture, two pixels high."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, 2, 8, 0, 0, 0, 0)
    rows = (b"\0" + b"\x80" * width) * 2
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def image_of(i):
    return [{"bytes": png(1), "path": "0.png"}, {"bytes": png(2), "path": "1.png"}, {"bytes": None, "path": "2.png"}, None,
            {"bytes": png(5), "path": None}][i]


def talk_of(i):
    mark = "" if i == 3 else "<image>\n"
    return [{"from": "human", "value": f"{mark}Question {i}?"}, {"from": "gpt", "value": f"Answer {i}."}]


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TALK = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
HUB = {"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})}


def talks(times=1):
    rows = list(range(5)) * times
    return pa.table({
        "id": pa.array(range(len(rows)), pa.int64()),
        "image": pa.array([image_of(i) for i in rows], IMAGE),
        "conversations": pa.array([talk_of(i) for i in rows], TALK),
    })


def write_ipc(name, table, stream=False, compression=None):
    options = pa.ipc.IpcWriteOptions(compression=compression)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(ROOT / name), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=2)


def main():
    ROOT.mkdir(parents=True, exist_ok=True)
    (ROOT / "2.png").write_bytes(png(3))
    table = talks()
    for codec in ["none", "gzip", "zstd"]:
        pq.write_table(table, ROOT / f"talks_{codec}.parquet", compression=codec, row_group_size=2)
    hub = table.append_column("when", pa.array([0] * 5, pa.timestamp("s"))).replace_schema_metadata(HUB)
    pq.write_table(hub, ROOT / "talks_snappy.parquet", compression="snappy", row_group_size=2)
    pq.write_table(talks(40), ROOT / "pages.parquet", compression="snappy", data_page_size=256, data_page_version="2.0",
                   write_batch_size=4, use_dictionary=False, row_group_size=150)
    plain = pa.table({
        "image": pa.array([png(i + 1) for i in range(5)], pa.binary()),
        "question": pa.array([f"Question {i}?" for i in range(5)]).dictionary_encode(),
        "answer": pa.array([f"Answer {i}." for i in range(5)]).dictionary_encode(),
    })
    pq.write_table(plain, ROOT / "plain.parquet")
    text = pa.field("question", pa.string(), nullable=False), pa.field("answer", pa.string(), nullable=False)
    rows = [f"Question {i:04d}" for i in range(1100)], [f"The answer {i % 100:02d}" for i in range(1100)]  # 13 letters each
    pq.write_table(pa.table(list(rows), pa.schema(text)), ROOT / "required.parquet", compression="none", data_page_size=512,
                   write_batch_size=15, use_dictionary=False)
    write_ipc("talks.arrow", table.replace_schema_metadata(HUB), stream=True)
    write_ipc("talks_file.arrow", table)
    write_ipc("talks_zstd.arrow", table, compression="zstd")
    write_ipc("dictionary.arrow", plain)
    write_ipc("lz4.arrow", table, compression="lz4")
    for codec in ["lz4", "brotli"]:
        pq.write_table(table, ROOT / f"{codec}.parquet", compression=codec)


if __name__ == "__main__":
    main()
