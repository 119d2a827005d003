// Runs a .tflite of Larq Compute Engine with LiteRT's C interface, in C or C++ and without Python.
//   cc run.c -o run libLiteRt.so liblarq_reactnet_runtime.so
//   ./run model.tflite < input.bin > output.bin
// The first library is in the wheel ai-edge-litert, the second in larq-reactnet-runtime. The input
// and the output are the bytes of the model's tensors, such as the float32 numbers of an image.
#include <stdio.h>
#include <stdlib.h>

#include "accelerator.h"
#include "litert.h"

static void Check(LiteRtStatus status, const char* what) {
  if (status == kLiteRtStatusOk) return;
  fprintf(stderr, "LiteRT cannot %s: status %d\n", what, (int)status);
  exit(1);
}

int main(int count, char** arguments) {
  LiteRtEnvironment environment;
  LiteRtModel model;
  LiteRtSignature signature;
  LiteRtOptions options;
  LiteRtCompiledModel compiled;
  LiteRtTensor tensors[2];  // the input and the output
  LiteRtTensorBufferRequirements needs[2];
  LiteRtTensorBuffer buffers[2];
  if (count != 2) return fprintf(stderr, "usage: run MODEL.tflite < INPUT > OUTPUT\n"), 2;

  Check(LiteRtCreateEnvironment(0, NULL, &environment), "start");
  Check(LarqReactnetRegister(environment), "take the library");
  Check(LiteRtCreateModelFromFile(environment, arguments[1], &model), "read the model");
  Check(LiteRtCreateOptions(&options), "make options");
  Check(LiteRtSetOptionsHardwareAccelerators(options, kLiteRtHwAcceleratorCpu), "use the CPU");
  Check(LiteRtCreateCompiledModel(environment, model, options, &compiled), "run this model");

  Check(LiteRtGetModelSignature(model, 0, &signature), "find the inputs");
  Check(LiteRtGetSignatureInputTensorByIndex(signature, 0, &tensors[0]), "find the input");
  Check(LiteRtGetSignatureOutputTensorByIndex(signature, 0, &tensors[1]), "find the output");
  LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, &needs[0]);
  LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, 0, &needs[1]);
  for (int i = 0; i < 2; ++i) {
    LiteRtRankedTensorType type;
    Check(LiteRtGetRankedTensorType(tensors[i], &type), "tell a shape");
    Check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, needs[i],
                                                          &buffers[i]),
          "make a buffer");
  }
  for (int i = 0; i < 2; ++i) {  // first the input is read, and then the output is written
    void* memory;
    size_t bytes, done;
    Check(LiteRtGetTensorBufferPackedSize(buffers[i], &bytes), "tell a size");
    if (i == 1) Check(LiteRtRunCompiledModel(compiled, 0, 1, buffers, 1, buffers + 1), "run it");
    Check(LiteRtLockTensorBuffer(buffers[i], &memory, i == 0 ? kLiteRtTensorBufferLockModeWrite
                                                              : kLiteRtTensorBufferLockModeRead),
          "lock a buffer");
    done = i == 0 ? fread(memory, 1, bytes, stdin) : fwrite(memory, 1, bytes, stdout);
    if (done != bytes) return fprintf(stderr, "%zu bytes of %zu\n", done, bytes), 1;
    LiteRtUnlockTensorBuffer(buffers[i]);
  }
  for (int i = 0; i < 2; ++i) LiteRtDestroyTensorBuffer(buffers[i]);
  LiteRtDestroyCompiledModel(compiled);
  LiteRtDestroyOptions(options);
  LiteRtDestroyModel(model);
  LiteRtDestroyEnvironment(environment);
  return 0;
}
