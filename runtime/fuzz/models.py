"""Fuzzes what happens to a `.tflite` of a stranger: the checks in Python, and the interpreter.

    models.py 600                               for 600 seconds
    models.py build/findings/model-1.tflite     one file again

`Interpreter` gets variants of the files of the tests, with a library that is built with
AddressSanitizer. Half of them have other bytes; half are well-formed files with absurd shapes,
types, indices, options and constants. A finding is an exception other than ValueError and
RuntimeError, or what the sanitizers see in our library. Its file is in build/findings/.

Processes that end in the interpreter's own code, whose operators trust their files, are counted,
but are not findings. Nor are files that take long. Constants lie side by side in a file, so a
sanitizer does not see where one of them ends: fuzz/graph.cc does.
"""

import contextlib
import copy
import math
import os
import random
import re
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
FINDINGS = HERE.parent / "build" / "findings"
PATIENCE = 30  # seconds that a file may take: large tensors do, in the interpreter too
FRAME = re.compile(r"^ +#\d+ \w+ (.*)", re.MULTILINE)
LIBRARIES = re.compile(r"/lib(asan|c)\.so|/libsanitizer/|\.\./(sysdeps|string|nptl)/")
OURS = str(HERE.parent / "src")
sys.path.insert(0, str(TESTS))
import sanitized  # noqa: E402

SIZES = [0, 1, 2, 3, 31, 32, 33, 64, 70, 255, 4096, 1 << 16, (1 << 31) - 1, -1]
WORDS = [0, 1, 2, 3, 4, 8, 64, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]


def seeds():
    """Files that are right, and the graphs of which they are made, if they are made here."""
    import numpy as np
    from test_fusion import OPS, residual
    from test_ops import CHAIN, chain
    from test_types import network

    blocks = [residual(op, seed) for seed, op in enumerate(OPS[:4])]
    for block in blocks:
        outputs = [block.quantize(), block.value]
        yield block.build(*outputs), (block.graph, block.inputs, outputs)
    yield (TESTS / "data" / "tiny.tflite").read_bytes(), None
    yield chain(np.random.default_rng(0), CHAIN), None
    for source, output in (("int8", "int32"), ("int32", "int8"), ("uint8", "int8")):
        yield network(source, output, image=(4, 5), free=output == "int8"), None
    yield with_proof((TESTS / "data" / "tiny.tflite").read_bytes()), None


def with_proof(content):
    """A file with inputs and outputs in it, for `verify`."""
    from larq_reactnet.converters.enclosing import add_proof

    import numpy as np

    from larq_reactnet_runtime._shared.proofs import Proof, write

    inputs = np.random.default_rng(0).normal(size=(2, 24, 24, 3)).astype(np.float32)
    return add_proof(content, write(Proof((inputs,), (np.ones((2, 7), np.float32),), "none")))


def with_other_bytes(chance, content):
    """Some of the bytes are others, or the end is missing."""
    content = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(content) - 4)
        if chance.random() < 0.5:
            content[place] = chance.randrange(256)
        else:
            struct.pack_into("<I", content, place & ~3, chance.choice(WORDS))
    return bytes(content[: chance.randrange(len(content))] if chance.random() < 0.05 else content)


def with_other_parts(chance, graph, inputs, outputs):
    """A well-formed file of an absurd graph."""
    graph = copy.deepcopy(graph)
    for _ in range(chance.randint(1, 3)):
        tensor, operator = chance.choice(graph.tensors), chance.choice(graph.operators)
        index = chance.randrange(-1, len(graph.tensors))
        kind = chance.randrange(8)
        if kind < 2 and len(tensor.shape):
            tensor.shape[chance.randrange(len(tensor.shape))] = chance.choice(SIZES)
        elif kind == 2:
            tensor.shape = tensor.shape[: chance.randrange(5)]
        elif kind == 3:
            tensor.type = chance.choice([0, 2, 9, 1, 3])
        elif kind == 4:
            number = chance.randrange(len(graph.buffers))
            graph.buffers[number] = graph.buffers[number][: chance.randrange(200)]
        elif kind == 5:
            operator.inputs[chance.randrange(len(operator.inputs))] = index
        elif kind == 6:
            operator.outputs[0] = max(index, 0)
        elif operator.customOptions is not None and len(operator.customOptions):
            place = -chance.randint(1, min(60, len(operator.customOptions)))
            operator.customOptions = operator.customOptions.copy()
            operator.customOptions[place] = chance.choice(WORDS) & 255
    return graph.flatbuffer(inputs, outputs)


def run(content):
    """What a program does with a file: with our interpreter, and with one of its own."""
    import numpy as np
    from stock import Runtime

    from larq_reactnet_runtime import Interpreter, verify
    from larq_reactnet_runtime._shared import model as files
    from larq_reactnet_runtime.placing import places

    try:
        model = files.read(content)
    except ValueError:
        return
    shapes = [[max(size, 1) for size in t.shape] for t in (*model.inputs, *model.outputs)]
    if sum(map(math.prod, shapes)) > 1e5:
        return  # it takes too long
    try:
        interpreter = Interpreter(content)
        assert all(isinstance(label, str) for label in interpreter.labels)
        given = [*zip(interpreter.input_signatures, interpreter.input_types)]
        # Sizes that may be any are others than in the file.
        shapes = [tuple(3 if size < 0 else size for size in shape[1:]) for shape, _ in given]
        ones = [np.ones((2, *shape), kind) for shape, (_, kind) in zip(shapes, given)]
        floats = [np.ones((2, *shape), np.float32) for shape in shapes]
        for inputs in (ones, floats):
            with contextlib.suppress(ValueError, RuntimeError):
                interpreter.predict(inputs, dequantize=inputs is floats)
        own = zip(interpreter.input_shapes, interpreter.input_types)
        interpreter.run(*(np.ones(shape, kind) for shape, kind in own))
    except (ValueError, RuntimeError):
        pass
    with contextlib.suppress(ValueError, RuntimeError):
        verify(content)
    with contextlib.suppress(ValueError, RuntimeError):
        places(content)
    if any(tensor.dtype not in ("float32", "int32", "int8") for tensor in model.inputs):
        return
    inputs = [np.ones(tensor.shape, tensor.dtype) for tensor in model.inputs]
    with contextlib.suppress(ValueError, RuntimeError):
        Runtime(content).run(*inputs)


def variants(files, chance, current):
    """Run them without end. Each is in the file `current` before."""
    while True:
        content, parts = chance.choice(files)
        if parts and chance.random() < 0.75:
            content = with_other_parts(chance, *parts)
        else:
            content = with_other_bytes(chance, content)
        current.write_bytes(content)
        signal.alarm(PATIENCE)
        run(content)
        yield


def in_child(work):
    """How a child process ends that does some work, and what sanitizers say of it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    report = Path(f"{os.environ['REPORTS']}/report.{pid}")
    return status, report.read_text(errors="replace") if report.exists() else ""


def culprit(report):
    """Where it happened, as the first line of the stack that is not of the sanitizer or of C."""
    return next((frame for frame in FRAME.findall(report) if not LIBRARIES.search(frame)), "")


def is_ours(status, report):
    """Whether it was an exception, or happened in our library."""
    return status == 1 << 8 or OURS in culprit(report)


def fuzz(seconds):
    """In children that are made anew when one ends, so that nothing has to be imported again."""
    files, end = [*seeds()], time.monotonic() + seconds
    count, slow, seed = 0, 0, 0
    ends = Counter()
    with tempfile.TemporaryDirectory() as folder:
        current, counted = Path(folder, "current.tflite"), Path(folder, "count")

        def work():
            for number, _ in enumerate(variants(files, random.Random(seed), current), 1):
                counted.write_text(str(number))
                if time.monotonic() > end:
                    break

        print(f"fuzz models: {seconds} seconds", flush=True)
        while time.monotonic() < end:
            counted.write_text("0")
            status, report = in_child(work)
            count, seed = count + int(counted.read_text()), seed + 1
            if status and is_ours(status, report):
                FINDINGS.mkdir(parents=True, exist_ok=True)
                kept = FINDINGS / f"model-{int(time.time())}.tflite"
                kept.write_bytes(current.read_bytes())
                print(f"{report}\nThe status is {status}, and the file is {kept}.")
                return 1
            slow += status == signal.SIGALRM
            if status not in (0, signal.SIGALRM):
                ends[culprit(report) or f"status {status}"] += 1
    print(f"{count} files; ended in the interpreter: {ends.total()}; too slow: {slow}; findings: 0")
    for place, times in ends.most_common(5):
        print(f"  {times} {place[:150]}")
    return 0


def main(argument):
    """Start again with a sanitizer; there, fuzz for some seconds or run one file."""
    if "REPORTS" not in os.environ:
        library = sanitized.build("address")
        with tempfile.TemporaryDirectory() as folder:
            command = [__file__, argument]
            return sanitized.run(
                "address",
                folder,
                command,
                LARQ_REACTNET_LIBRARY=library,
                PYTHONWARNINGS="ignore",
                REPORTS=folder,
            )
    from larq_reactnet_runtime import _engine

    del os.environ["LD_PRELOAD"]
    _engine.library_path = lambda: Path(os.environ["LARQ_REACTNET_LIBRARY"])
    if argument.isdigit():
        return fuzz(int(argument))
    status, report = in_child(lambda: run(Path(argument).read_bytes()))
    print(f"{report}\nThe status is {status}.")
    return int(is_ours(status, report))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
