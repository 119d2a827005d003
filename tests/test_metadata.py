"""Metadata: there and back, by the published format, and what others and corrupt files hold."""

import base64
import io
import json
import struct
import zipfile

from larq_reactnet.converters import (
    ExportError,
    Metadata,
    add_metadata,
    convert,
    export,
    predict_tflite,
    read_metadata,
)
from larq_reactnet.converters._tflite import file as tflite

import numpy as np
import pytest
import tensorflow as tf
from flatbuffers.table import Table
from helpers import binary_model

METADATA = Metadata(
    name="Small",
    description="Cats, dogs und Mäuse",
    labels=("cat", "dog", "Maus, größte", ""),
    mean=(125.3, 123.0, 113.9),
    std=(63.0, 62.1, 66.7),
    version="v1",
    author="Nobody",
    license="Apache-2.0",
)

# What tflite-support 0.4.4 writes: its metadata writer of image classifiers, with mean and standard
# deviation of 127.5 and a file names.txt.
OFFICIAL = base64.b64decode(
    "HAAAAE0wMDEUABQAEAAMAAAACAAAAAAAAAAEABQAAAAQAAAAGAAAACACAABwAgAABQAAADEuMC4wAAAAAQAAABAAAAAM"
    "AAwAAAAAAAgABAAMAAAACAAAABQBAAABAAAAGAAAAAAAEgAYABQAEAAAAAwAAAAIAAQAEgAAABQAAAB8AAAAlAAAAKQA"
    "AADQAAAAAQAAABAAAAAAAAoAEAAMAAgABwAKAAAAAAAAAggAAAA8AAAAMwAAAExhYmVscyBmb3IgY2F0ZWdvcmllcyB0"
    "aGF0IHRoZSBtb2RlbCBjYW4gcmVjb2duaXplLgAJAAAAbmFtZXMudHh0AAAAKP///wgAAAAMAAAAAQAAAAAAAAABAAAA"
    "AACAP1j///8MAAAAAAAAAQQABAAEAAAAKQAAAFByb2JhYmlsaXRpZXMgb2YgdGhlIGxhYmVscyByZXNwZWN0aXZlbHku"
    "AAAACwAAAHByb2JhYmlsaXR5AAEAAAAUAAAAEAAYABQAEAAAAAwACAAEABAAAAAUAAAALAAAAHAAAACEAAAApAAAAMj/"
    "//8IAAAADAAAAAEAAAAAAIC/AQAAAAAAgD8BAAAADAAAAAgADAALAAQACAAAABAAAAAAAAABCAAMAAgABAAIAAAACAAA"
    "AAwAAAABAAAAAAD/QgEAAAAAAP9CCAAKAAkABAAIAAAADAAAAAACBgAIAAcABgAAAAAAAAEdAAAASW5wdXQgaW1hZ2Ug"
    "dG8gYmUgY2xhc3NpZmllZC4AAAAFAAAAaW1hZ2UAAABPAAAASWRlbnRpZnkgdGhlIG1vc3QgcHJvbWluZW50IG9iamVj"
    "dCBpbiB0aGUgaW1hZ2UgZnJvbSBhIGtub3duIHNldCBvZiBjYXRlZ29yaWVzLgAPAAAASW1hZ2VDbGFzc2lmaWVyAA=="
)


@pytest.fixture(scope="module")
def flatbuffer():
    return convert(binary_model())


def test_metadata_of_another_type(flatbuffer):
    with pytest.raises(TypeError, match=r"got dict: write Metadata\(name=\.\.\."):
        add_metadata(flatbuffer, {"labels": ("cat", "dog")})


@pytest.fixture(scope="module")
def tagged(flatbuffer):
    return add_metadata(flatbuffer, METADATA)


def packed(files, **arguments):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **arguments) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def with_table(flatbuffer, table, archive=b""):
    """The model with any bytes as metadata, and any at the end of the file."""
    model = tflite.read(add_metadata(flatbuffer, Metadata()))
    model.buffers[-1].data = np.frombuffer(table, np.uint8)
    return tflite.write(model) + archive


def test_round_trip(flatbuffer, tagged):
    assert read_metadata(flatbuffer) is None
    assert read_metadata(tagged) == METADATA
    empty = add_metadata(flatbuffer, Metadata())
    assert read_metadata(empty) == Metadata()
    assert b"PK" not in empty[-100:]
    one_for_all = Metadata(mean=127.5, std=[np.float32(58.4)])
    assert one_for_all == Metadata(mean=(127.5,), std=(58.4,))
    assert read_metadata(add_metadata(flatbuffer, one_for_all)) == one_for_all
    assert Metadata(mean=0, std=(1, 2)).mean == (0, 0)


def test_the_model_computes_the_same(flatbuffer, tagged, rng):
    images = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
    before, after = (predict_tflite(x, images, progress=False) for x in (flatbuffer, tagged))
    np.testing.assert_array_equal(before, after)


def test_plain_model_in_the_interpreter_of_tensorflow(rng):
    model = tf.keras.Sequential([tf.keras.layers.Input((3,)), tf.keras.layers.Dense(2)])
    plain = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    outputs = []
    for content in (plain, add_metadata(plain, Metadata(labels=("no", "yes"), mean=1, std=2))):
        interpreter = tf.lite.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        place = interpreter.get_input_details()[0]["index"]
        interpreter.set_tensor(place, np.ones((1, 3), np.float32))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*outputs)


def test_adding_twice_replaces(flatbuffer, tagged):
    assert add_metadata(tagged, METADATA) == tagged
    other = Metadata(labels=("a", "b", "c", "d"))
    again = add_metadata(tagged, other)
    assert read_metadata(again) == other
    assert b"Maus" not in again
    assert len(tflite.read(again).buffers) == len(tflite.read(tagged).buffers)
    assert not zipfile.is_zipfile(io.BytesIO(add_metadata(tagged, Metadata())))


def test_weights_that_an_entry_points_at_are_not_overwritten(flatbuffer, tagged, rng):
    model = tflite.read(tagged)
    graph = model.subgraphs[0]
    model.metadata[-1].buffer = max(tensor.buffer for tensor in graph.tensors)
    images = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    found = predict_tflite(add_metadata(tflite.write(model), METADATA), images)
    np.testing.assert_array_equal(found, predict_tflite(flatbuffer, images))


def test_archive(tagged):
    with zipfile.ZipFile(io.BytesIO(tagged)) as archive:
        assert archive.testzip() is None
        (entry,) = archive.infolist()
        assert entry.filename == "labels.txt"
        assert entry.compress_type == zipfile.ZIP_STORED  # the Task Library reads no other
        assert archive.read(entry).decode() == "cat\ndog\nMaus, größte\n\n"


def test_fields_are_where_the_schema_has_them(tagged):
    model = tflite.read(tagged)
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    data = bytes(model.buffers[entry.buffer].data)
    assert data[4:8] == b"M001"

    # By the field's number in metadata_schema.fbs.
    def at(table, number):
        place = table.Offset(4 + 2 * number)
        assert place, f"field {number} is missing"
        return table.Pos + place

    def text(table, number):
        return table.String(at(table, number)).decode()

    def child(table, number):
        return Table(data, table.Indirect(at(table, number)))

    def only(table, number):
        place = table.Offset(4 + 2 * number)
        assert table.VectorLen(place) == 1
        return Table(data, table.Indirect(table.Vector(place)))

    def floats(table, number):
        place = table.Offset(4 + 2 * number)
        return struct.unpack_from(f"<{table.VectorLen(place)}f", data, table.Vector(place))

    root = Table(data, struct.unpack_from("<I", data)[0])
    texts = [text(root, number) for number in (0, 1, 2, 4, 5, 7)]
    assert texts == ["Small", METADATA.description, "v1", "Nobody", "Apache-2.0", "1.5.0"]
    graph = only(root, 3)
    image, score = only(graph, 2), only(graph, 3)
    assert (text(image, 0), text(score, 0)) == ("image", "score")
    content = child(image, 3)
    assert data[at(content, 0)] == 2  # ImageProperties
    assert data[at(child(content, 1), 0)] == 1  # RGB
    unit = only(image, 4)
    assert data[at(unit, 0)] == 1  # NormalizationOptions
    np.testing.assert_allclose(floats(child(unit, 1), 0), METADATA.mean)
    np.testing.assert_allclose(floats(child(unit, 1), 1), METADATA.std)
    assert data[at(child(score, 3), 0)] == 1  # FeatureProperties
    file = only(score, 6)
    assert text(file, 0) == "labels.txt"
    assert data[at(file, 2)] == 2  # TENSOR_AXIS_LABELS
    custom = only(graph, 9)
    assert text(custom, 0) == "larq_reactnet.images"
    place = custom.Offset(4 + 2 * 1)
    assert custom.Vector(place) % 16 == 0
    content = data[custom.Vector(place) :][: custom.VectorLen(place)]
    assert json.loads(content) == {"crop": 1.0, "resize": "fit"}


@pytest.mark.parametrize("kind", [2, 3])
def test_metadata_of_the_official_library(flatbuffer, kind):
    place = OFFICIAL.index(bytes([2, 8, 0, 0, 0, 60]))  # the type of the file, 2 for axis labels
    table = OFFICIAL[:place] + bytes([kind]) + OFFICIAL[place + 1 :]
    files = {"other.txt": b"x", "names.txt": "cat\r\ndog\r\nbird\r\nMäuse".encode()}
    for arguments in ({}, {"compression": zipfile.ZIP_DEFLATED}):
        found = read_metadata(with_table(flatbuffer, table, packed(files, **arguments)))
        assert found is not None
        assert found.name == "ImageClassifier"
        assert found.description.startswith("Identify the most prominent object")
        assert found.labels == ("cat", "dog", "bird", "Mäuse")
        assert found.mean == found.std == (127.5,)


def test_metadata_that_can_not_be_stored(flatbuffer):
    for arguments, message in (
        ({"labels": "cat"}, "tuple of strings"),
        ({"labels": ("cat", 3)}, "tuple of strings"),
        ({"labels": ("cat\ndog",)}, r"'cat\\ndog' has a line break"),
        ({"labels": ("cat\r",)}, "line break"),
        ({"labels": ("\udc80",)}, "cannot be written as UTF-8"),
        ({"name": None}, "The name must be a string"),
        ({"mean": 0}, "`mean` has 1 numbers and `std` 0"),
        ({"mean": (1, 2, 3), "std": (1, 2)}, "`mean` has 3 numbers and `std` 2"),
        ({"mean": "127", "std": "x"}, "`std` must be numbers"),
        ({"mean": float("nan"), "std": 1}, "`mean` must be finite"),
        ({"mean": 0, "std": (1, 0, 1)}, "`std` must be above zero"),
        ({"mean": range(9999), "std": 1}, "more than 1024 numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            Metadata(**arguments)
    for arguments, message in (
        ({"labels": ("cat", "dog")}, "gives 4 values, and there are 2 labels"),
        ({"mean": (1, 2), "std": 1}, "takes 3 channels, and `mean` and `std` have 2 numbers"),
        ({"description": "x" * 2**23}, "more than 4,194,304 bytes"),
    ):
        with pytest.raises(ValueError, match=message):
            add_metadata(flatbuffer, Metadata(**arguments))
    with pytest.raises(ValueError, match="not a TensorFlow Lite model"):
        add_metadata(b"not a model", METADATA)


def test_labels_that_can_not_be_read(flatbuffer):
    deflated = {"compression": zipfile.ZIP_DEFLATED}
    bomb = packed({"names.txt": bytes(2**23)}, **deflated)
    lying = bomb.replace(struct.pack("<I", 2**23), struct.pack("<I", 2**30))
    assert len(bomb) < 10_000
    for archive, message in (
        (b"", "cannot be read"),
        (packed({"other.txt": b"x"}), "there is no names.txt"),
        (packed({"names.txt": b"\xff\xfe"}), "cannot be read, 'utf-8' codec"),
        (packed({"names.txt": b"a\rb"}), "line break"),
        (bomb, "more than 4,194,304 bytes"),
        (lying, "more than 4,194,304 bytes"),
        (packed({"names.txt": b"a"}, compression=zipfile.ZIP_BZIP2), "another way"),
        (packed({"names.txt": b"a" * 99}, **deflated)[:-30], "cannot be read"),
    ):
        with pytest.raises(ValueError, match=message):
            read_metadata(with_table(flatbuffer, OFFICIAL, archive))


def test_tables_that_can_not_be_read(flatbuffer, tagged):
    for table in (
        b"",
        b"M001",
        OFFICIAL[:100],
        OFFICIAL.replace(b"M001", b"M002"),
        bytes(2**22 + 1),
    ):
        with pytest.raises(ValueError, match=r"metadata in the \.tflite"):
            read_metadata(with_table(flatbuffer, table))
    model = tflite.read(tagged)
    model.metadata[-1].buffer = 99
    for function in (read_metadata, lambda content: add_metadata(content, METADATA)):
        with pytest.raises(ValueError, match="in buffer 99 of"):
            function(tflite.write(model))


def test_corrupt_files(tagged, rng):
    table, archive = tagged.index(b"M001") - 4, tagged.index(b"PK\3\4")
    places = [*range(table, table + 700), *range(archive, len(tagged))]
    results = []
    for _ in range(200):
        corrupt = bytearray(tagged)
        for place in rng.choice(places, rng.integers(1, 4)):
            corrupt[place] = rng.choice((0, 1, 127, 128, 255, rng.integers(256)))
        if rng.random() < 0.1:
            del corrupt[rng.integers(archive, len(corrupt)) :]
        try:
            results.append(isinstance(read_metadata(bytes(corrupt)), Metadata))
        except ValueError:
            results.append(None)
    assert False not in results
    assert results.count(None) > 20
    assert results.count(True) > 20


def test_export_writes_it(tmp_path, rng):
    images = rng.normal(size=(4, 8, 8, 3))
    path = tmp_path / "model.tflite"
    arguments = {"verify_with": images, "progress": False}
    report = export(binary_model(), path, metadata=METADATA, **arguments)
    assert read_metadata(path.read_bytes()) == METADATA
    assert report.bytes == path.stat().st_size
    before = path.read_bytes()
    with pytest.raises(ExportError, match="1 labels"):
        export(binary_model(), path, metadata=Metadata(labels=("cat",)), **arguments)
    assert path.read_bytes() == before
