// Registers larq-reactnet-runtime with an environment of LiteRT's C interface: models that are
// compiled for the CPU in it then have the binary operators.
#pragma once

#include <stdio.h>

#include "litert.h"

typedef const struct LiteRtAcceleratorT* LarqReactnetSelf;

static LiteRtStatus LarqReactnetName(LarqReactnetSelf a, const char** name) {
  return (void)a, *name = "larq-reactnet-runtime", kLiteRtStatusOk;
}
static LiteRtStatus LarqReactnetVersion(LarqReactnetSelf a, LiteRtApiVersion* version) {
  return (void)a, version->major = 1, version->minor = version->patch = 0, kLiteRtStatusOk;
}
static LiteRtStatus LarqReactnetHardware(LarqReactnetSelf a, int* hardware) {
  return (void)a, *hardware = kLiteRtHwAcceleratorCpu, kLiteRtStatusOk;
}
static LiteRtStatus LarqReactnetCompiles(LarqReactnetSelf a, bool* compiles) {
  return (void)a, *compiles = false, kLiteRtStatusOk;
}
static void LarqReactnetComplain(const char* reason) { fprintf(stderr, "%s\n", reason); }
static LiteRtStatus LarqReactnetDelegate(struct LiteRtRuntimeContext* c, LiteRtEnvironment e,
                                         LarqReactnetSelf a, LiteRtOptions o,
                                         LiteRtDelegateWrapper* wrapper) {
  const char *key = "num_threads", *value = "1";
  (void)c, (void)e, (void)a, (void)o;
  return LiteRtWrapDelegate(tflite_plugin_create_delegate(&key, &value, 1, LarqReactnetComplain),
                            tflite_plugin_destroy_delegate, wrapper);
}

static LiteRtStatus LarqReactnetRegister(LiteRtEnvironment environment) {
  LiteRtAccelerator accelerator;
  const LiteRtStatus status = LiteRtCreateAccelerator(&accelerator);
  if (status != kLiteRtStatusOk) return status;
  LiteRtSetAcceleratorGetName(accelerator, LarqReactnetName);
  LiteRtSetAcceleratorGetVersion(accelerator, LarqReactnetVersion);
  LiteRtSetAcceleratorGetHardwareSupport(accelerator, LarqReactnetHardware);
  LiteRtSetIsAcceleratorDelegateResponsibleForJitCompilation(accelerator, LarqReactnetCompiles);
  LiteRtSetDelegateFunction(accelerator, LarqReactnetDelegate);
  return LiteRtRegisterAccelerator(environment, accelerator, NULL, NULL);
}
