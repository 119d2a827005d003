"""Binary convolutions on an emulated ARM: NEON against the portable C++, to the bit.

    python operators.py write FOLDER    where larq_reactnet is, and LARQ_REACTNET_LIBRARY
    run.sh operators.py check FOLDER    in the emulator

The convolutions are those of test_ops.py, which compares portable C++ with LCE's interpreter, and
longer ones, also with the joined operators of ReActNet, and with all bits or none unequal.
"""

import pickle
import sys
from pathlib import Path

import numpy as np


def cases():
    """Files and their inputs."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from models import Bconv, Same
    from test_fusion import OPS, residual
    from test_ops import grid

    longer = [
        Bconv(image=(5, 6), channels=channels, filters=filters, window=window, pad_values=pad)
        for channels in (64, 128, 224, 256, 288, 384, 512, 896, 1024, 2048)
        for window, pad in (((3, 3), 0), ((1, 1), 1), ((3, 3), 1), ((3, 1), 1), ((5, 5), 1))
        for filters in (16, 9)
    ]
    for index, op in enumerate([*grid(), *longer]):
        rng = np.random.default_rng(index)
        yield op.flatbuffer(rng), [op.inputs(rng)]
    for op in longer:
        for sign in (-1, 1):
            yield op.flatbuffer(Same(sign)), [op.inputs(Same(-1))]
    for seed, op in enumerate([*OPS, *longer]):
        block = residual(op, seed)
        block.add(block.constant())
        yield block.build(block.value, block.quantize()), [*block.values()]


def write(folder):
    """Write them to a file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.pickle").write_bytes(pickle.dumps([*cases()]))


def check(folder):
    """Run them, and count those that differ."""
    from larq_reactnet_runtime import _engine

    engine = _engine.find()

    def run(content, inputs, isa, threads):
        delegate = _engine.load_delegate(num_threads=threads, isa=isa)
        interpreter = engine.interpreter(model_content=content, experimental_delegates=[delegate])
        interpreter.allocate_tensors()
        for detail, value in zip(interpreter.get_input_details(), inputs):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]

    wrong = 0
    known = pickle.loads((folder / "cases.pickle").read_bytes())
    for number, (content, inputs) in enumerate(known):
        expected = run(content, inputs, "portable", 1)
        for threads in (1, 3):
            found = run(content, inputs, "neon", threads)
            if any(a.tobytes() != b.tobytes() for a, b in zip(found, expected)):
                wrong += 1
                print(f"convolution {number} with {threads} threads differs")
    print(f"{len(known)} convolutions in {engine.name}, {wrong} wrong")
    return wrong > 0


if __name__ == "__main__":
    sys.exit({"write": write, "check": check}[sys.argv[1]](Path(sys.argv[2])))
