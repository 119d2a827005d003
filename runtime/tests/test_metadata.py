"""The reader of `.tflite` files and of the metadata in them."""

import contextlib
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from larq_reactnet_runtime import Metadata, read_metadata
from larq_reactnet_runtime._shared import model as files

TINY = (Path(__file__).parent / "data" / "tiny.tflite").read_bytes()
END = TINY.index(b"PK\3\4")  # where the archive with the labels begins


def test_reads_what_export_writes():
    assert read_metadata(TINY) == Metadata(
        labels=("ant", "bee", "cat", "dog", "élan", "fox", "gnu"),
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        name="Tiny",
        description="Random weights.",
        version="1",
        author="make.py",
        license="Apache-2.0",
    )


def test_reads_the_graph():
    model = files.read(TINY)
    assert [x.shape for x in (*model.inputs, *model.outputs)] == [(1, 24, 24, 3), (1, 7)]
    assert [x.dtype for x in (*model.inputs, *model.outputs)] == ["float32", "float32"]
    assert model.operators["LceBconv2d"] == 3
    assert model.binary_operators == 6


def test_a_file_without_metadata_has_none():
    content = TINY.replace(b"TFLITE_METADATA", b"TFLITE_METADATX")
    assert read_metadata(content) is None


def test_deflated_labels_are_read():
    file = io.BytesIO(TINY[:END])
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "1\r\n2\r\n\r\n")
    assert read_metadata(file.getvalue()).labels == ("1", "2", "")


def test_labels_that_are_not_there_are_an_error():
    with pytest.raises(ValueError, match=r"metadata in the \.tflite is corrupt: the labels in"):
        read_metadata(TINY[:END])


def test_labels_that_unpack_to_more_than_the_memory_are_an_error():
    file = io.BytesIO(TINY[:END])
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", bytes(2**23))
    with pytest.raises(ValueError, match="more than"):
        read_metadata(file.getvalue())


def test_another_file_is_no_model():
    for content in (b"", b"TFL3", b"\x89PNG\r\n\x1a\n" + bytes(100)):
        with pytest.raises(ValueError, match="not a TensorFlow Lite model"):
            read_metadata(content)


@pytest.mark.parametrize("size", [8, 100, 1000, 5000, 10_000, 15_000])
def test_truncated(size):
    with pytest.raises(ValueError, match="truncated or corrupt"):
        read_metadata(TINY[:size])


def test_no_truncation_is_read_as_something_else():
    whole = files.read(TINY)
    for size in range(8, END, 97):
        try:
            model = files.read(TINY[:size])
        except ValueError:
            continue
        assert model == whole  # nothing but padding was cut off


def test_any_bytes_are_read_or_a_value_error_in_little_time():
    random = np.random.default_rng(0)
    content = np.frombuffer(TINY, np.uint8)
    start = time.process_time()
    for _ in range(2000):
        hostile = content.copy()
        places = random.integers(0, len(hostile), random.integers(1, 20))
        hostile[places] = random.choice([0, 1, 4, 127, 128, 255], len(places))
        with contextlib.suppress(ValueError):
            read_metadata(hostile.tobytes())
    assert time.process_time() - start < 200  # in an emulator


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_arbitrary_bytes(data):
    with contextlib.suppress(ValueError):
        files.read(data[:4] + b"TFL3" + data[4:])


def test_a_list_that_names_one_table_without_end_is_refused():
    # A model, of version 3, whose list of operator codes says a million times: this table.
    count = 1_000_000
    table = np.array([8, 0x334C4654, 0, 0], "<u4")  # root, TFL3; then a vtable at byte 16
    vtable = np.array([4 + 2 * 8, 8, 0, 4, 0, 0, 0, 0, 0, 0], "<u2").tobytes()
    body = bytearray(table.tobytes())
    position = len(body) + len(vtable)
    body += vtable
    body[0:4] = np.array([position], "<u4").tobytes()
    body += np.array([position - 16], "<i4").tobytes()  # the vtable is before the table
    body += np.array([4], "<u4").tobytes()  # the list follows
    body += np.array([count], "<u4").tobytes()
    first = len(body)
    places = first + 4 * np.arange(count)
    body += (2**32 + position - places).astype("<u8").astype("<u4").tobytes()
    start = time.process_time()
    with pytest.raises(ValueError, match="corrupt"):
        files.read(bytes(body))
    assert time.process_time() - start < 60


def test_the_same_as_larq_reactnet(tmp_path):
    metadata = pytest.importorskip("larq_reactnet.converters.metadata")
    theirs = metadata.read_metadata(TINY)
    assert vars(read_metadata(TINY)) == vars(theirs)
