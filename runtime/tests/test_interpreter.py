"""`Interpreter` and `load_delegate`, in the interpreter that is installed."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from larq_reactnet_runtime import Interpreter, _engine, library_path, load_delegate
from larq_reactnet_runtime.interpreter import BATCH

# In an emulator, a command that starts another.
PYTHON = os.environ.get("LARQ_REACTNET_PYTHON", sys.executable)
DATA = Path(__file__).parent / "data"
TINY = DATA / "tiny.tflite"


@pytest.fixture(scope="module")
def tiny():
    return Interpreter(TINY)


@pytest.fixture(scope="module")
def batch():
    """Inputs, and the outputs of Larq Compute Engine's own interpreter."""
    with np.load(DATA / "batch.npz") as arrays:
        return arrays["inputs"].astype(np.float32) / 10, arrays["outputs"]


def test_gives_what_larq_compute_engine_gives(tiny, batch):
    inputs, outputs = batch
    found = tiny.predict(inputs)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, outputs, rtol=1e-4, atol=1e-6)


def test_says_what_it_is(tiny):
    assert tiny.input_shape == (24, 24, 3)
    assert tiny.output_shape == (7,)
    assert (tiny.input_shapes, tiny.output_shapes) == ([(1, 24, 24, 3)], [(1, 7)])
    assert tiny.input_types == tiny.output_types == [np.float32]
    assert tiny.labels[4] == "élan"
    assert tiny.metadata.std == (58.395, 57.12, 57.375)
    assert tiny.claimed == 6


def test_takes_a_path_or_the_content(batch):
    inputs, outputs = batch
    for model in (TINY, str(TINY), TINY.read_bytes(), bytearray(TINY.read_bytes())):
        np.testing.assert_allclose(Interpreter(model).predict(inputs[:1]), outputs[:1], 1e-4)


@pytest.mark.parametrize("count", [0, 1, 2, BATCH, BATCH + 1, 2 * BATCH + 3])
def test_any_number_of_images(tiny, batch, count):
    inputs, outputs = (np.resize(array, (count, *array.shape[1:])) for array in batch)
    found = tiny.predict(inputs)
    assert found.shape == outputs.shape
    np.testing.assert_allclose(found, outputs, rtol=1e-4, atol=1e-6)


def test_takes_a_list_of_the_one_input(tiny, batch):
    inputs, _ = batch
    np.testing.assert_array_equal(tiny.predict([inputs]), tiny.predict(x=inputs))


def test_threads_and_instruction_sets_do_not_change_the_outputs(tiny, batch):
    inputs, _ = batch
    expected = tiny.predict(inputs)
    for interpreter in (Interpreter(TINY, 3), Interpreter(TINY, isa="portable")):
        np.testing.assert_allclose(interpreter.predict(inputs), expected, rtol=1e-5, atol=1e-7)


def test_threads_of_the_caller_take_turns(tiny, batch):
    inputs, outputs = batch
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(lambda n: tiny.predict(inputs[: n % 5 + 1]), range(20))]
    for n, rows in enumerate(found):
        np.testing.assert_allclose(rows, outputs[: n % 5 + 1], rtol=1e-4, atol=1e-6)


def test_rows_of_another_memory_order(tiny, batch):
    inputs, outputs = batch
    for other in (np.asfortranarray(inputs), inputs[::-1][::-1], inputs.astype(">f4").byteswap()):
        other = other.view("<f4") if other.dtype.byteorder == ">" else other
        np.testing.assert_allclose(tiny.predict(other), outputs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([[1.0]], "must be a NumPy array, got list"),
        ([np.zeros((1, 24, 24, 3), np.float32)] * 2, "takes 1 input, but these are 2"),
        (np.zeros((1, 24, 24, 3), np.uint8), r"float32 of shape \(n, 24, 24, 3\), got uint8"),
        (np.zeros((1, 24, 24, 3)), "got float64"),
        (
            np.zeros((24, 24, 3), np.float32),
            r"got \(24, 24, 3\). Of one image, give images\[None\]",
        ),
        (np.zeros((1, 24, 24), np.float32), r"shape \(n, 24, 24, 3\), got \(1, 24, 24\)"),
        (np.zeros((2, 3, 24, 24), np.float32), r"got \(2, 3, 24, 24\)"),
        (np.full((1, 24, 24, 3), np.nan, np.float32), "NaN or infinite"),
        (np.full((1, 24, 24, 3), np.inf, np.float32), "NaN or infinite"),
    ],
)
def test_refuses_inputs_that_the_model_does_not_take(tiny, images, message):
    with pytest.raises(ValueError, match=message):
        tiny.predict(images)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, None])
def test_refuses_other_numbers_of_threads(threads):
    with pytest.raises(ValueError, match="num_threads"):
        load_delegate(threads)


def test_refuses_an_unknown_instruction_set():
    with pytest.raises(ValueError, match="abacus"):
        Interpreter(TINY, isa="abacus")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        Interpreter(tmp_path / "model.tflite")
    with pytest.raises(OSError, match="not an ordinary file"):
        Interpreter(tmp_path)


@pytest.mark.parametrize("size", [0, 8, 1000, 10_000, 15_000])
def test_truncated_files(size):
    with pytest.raises(ValueError, match="TensorFlow Lite model"):
        Interpreter(TINY.read_bytes()[:size])


def test_shapes_that_take_all_the_memory():
    content = bytearray(TINY.read_bytes())
    shape = np.array([4, 1, 24, 24, 3], "<i4").tobytes()  # of the input, behind its length
    assert content.count(shape) == 1
    place = content.index(shape) + 8
    content[place : place + 4] = np.array([2**22], "<i4").tobytes()
    with pytest.raises(ValueError, match="corrupt: a tensor has 301,989,888 elements"):
        Interpreter(content)


def test_a_binary_operator_that_the_library_leaves_is_an_error():
    content = TINY.read_bytes().replace(b"LceBconv2d", b"LceBconv2x")
    with pytest.raises(RuntimeError, match="LceBconv2x"):
        Interpreter(content)


def test_the_delegate_serves_an_interpreter_of_ones_own(batch):
    inputs, outputs = batch
    interpreter = _engine.find().interpreter(
        model_path=str(TINY), experimental_delegates=[load_delegate(num_threads=2)]
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs[:1])
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, outputs[:1], rtol=1e-4, atol=1e-6)


def test_many_interpreters_come_and_go(batch):
    inputs, outputs = batch
    held = [Interpreter(TINY, num_threads=2) for _ in range(5)]
    for _ in range(30):
        held.append(Interpreter(TINY))
        np.testing.assert_allclose(held.pop(0).predict(inputs[:1]), outputs[:1], 1e-4)


def test_the_library_is_in_the_package():
    assert library_path().parent == Path(_engine.__file__).parent
    assert library_path().read_bytes()[:4] in (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"MZ\x90\0")


CORRUPTED = """
import sys
import numpy as np
from larq_reactnet_runtime import Interpreter
content = np.fromfile(sys.argv[1], np.uint8)
random = np.random.default_rng(int(sys.argv[2]))
for _ in range(150):
    hostile = content.copy()
    places = random.integers(0, len(hostile), 4)
    hostile[places] = random.integers(0, 256, 4)
    try:
        interpreter = Interpreter(hostile.tobytes())
        if np.prod(interpreter.input_shape) < 1e5:  # or it takes too long
            given = zip(interpreter.input_shapes, interpreter.input_types)
            interpreter.run(*(np.ones(shape, kind) for shape, kind in given))
            interpreter.predict(np.ones((2, *interpreter.input_shape), np.float32))
    except (ValueError, RuntimeError):
        pass
"""


@pytest.mark.parametrize("seed", range(2))  # fuzz/models.py goes further
def test_corrupt_files_do_not_end_the_process(seed):
    command = [PYTHON, "-c", CORRUPTED, str(TINY), str(seed)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-2000:]


def test_without_an_engine_the_error_says_what_to_install(monkeypatch):
    for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install ai-edge-litert"):
        Interpreter(TINY)
