"""The functions for Java, of which Android's apps get the delegate."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from larq_reactnet_runtime import Interpreter, _engine, library_path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "android" / "RuntimeDelegate.java"
# What TensorFlow Lite's own interface demands.
INTERFACE = """
package org.tensorflow.lite;
public interface Delegate extends java.io.Closeable {
  long getNativeHandle();
  default void close() {}
}
"""
MAIN = """
import larqreactnet.RuntimeDelegate;
public class Main {
  public static void main(String[] arguments) {
    try (RuntimeDelegate delegate = new RuntimeDelegate(2)) {
      System.out.println(delegate.getNativeHandle() != 0);
    }
    try {
      new RuntimeDelegate(0);
    } catch (IllegalArgumentException error) {
      System.out.println(error.getMessage());
    }
  }
}
"""


def functions():
    library = ctypes.CDLL(str(library_path()))
    create = library.Java_larqreactnet_RuntimeDelegate_create
    create.restype, create.argtypes = ctypes.c_int64, [ctypes.c_void_p] * 2 + [ctypes.c_int32]
    destroy = library.Java_larqreactnet_RuntimeDelegate_destroy
    destroy.restype, destroy.argtypes = None, [ctypes.c_void_p] * 2 + [ctypes.c_int64]
    return create, destroy


def test_interpreter_runs_with_the_delegate_for_java():
    create, destroy = functions()
    handle = create(None, None, 2)
    assert handle != 0

    class Delegate:
        def _get_native_delegate_pointer(self):
            return handle

    path = HERE / "data" / "tiny.tflite"
    ours = _engine.find().interpreter(str(path), experimental_delegates=[Delegate()])
    ours.allocate_tensors()
    (detail,) = ours.get_input_details()
    images = np.random.default_rng(0).normal(size=detail["shape"]).astype(np.float32)
    ours.set_tensor(detail["index"], images)
    ours.invoke()
    found = ours.get_tensor(ours.get_output_details()[0]["index"])
    np.testing.assert_array_equal(found, Interpreter(path).predict(images))
    del ours  # before its delegate
    destroy(None, None, handle)


def test_too_many_threads_are_no_delegate():
    create, destroy = functions()
    assert create(None, None, 0) == create(None, None, 257) == 0
    destroy(None, None, 0)


def test_java_calls_them(tmp_path):
    if not (shutil.which("javac") and shutil.which("java")):
        pytest.skip("there is no Java here: javac and java")
    if "LARQ_REACTNET_PYTHON" in os.environ:  # by tests/qemu/run.sh
        pytest.skip("Java here is that of the machine that emulates this one")
    files = {"Delegate.java": INTERFACE, "Main.java": MAIN, SOURCE.name: SOURCE.read_text()}
    for name, source in files.items():
        (tmp_path / name).write_text(source)
    compile_all = ["javac", "-d", ".", *files]
    subprocess.run(compile_all, cwd=tmp_path, check=True, capture_output=True)
    run = ["java", f"-Djava.library.path={library_path().parent}", "Main"]
    done = subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["true", "numThreads must be from 1 to 256, got 0."]
