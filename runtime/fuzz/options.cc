// Fuzzes the reader of operators' options: whatever the bytes are, each option that it accepts lies
// within its limits, and it reads nothing beside the bytes.
#include "ops/options.h"

#include <cstdint>
#include <cstdlib>
#include <memory>

namespace {

using namespace larq_reactnet_runtime;

constexpr int kMost = 1 << 24;

void Check(bool is_right) {
  if (!is_right) std::abort();
}

void CheckSteps(const Steps& steps) {
  for (const int step :
       {steps.stride_height, steps.stride_width, steps.dilation_height, steps.dilation_width}) {
    Check(step >= 1 && step <= kMost);
  }
  Check(steps.padding == Padding::kSame || steps.padding == Padding::kValid);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A block of exactly this size, so that AddressSanitizer sees what is read behind its end.
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
  for (size_t i = 0; i < size; ++i) copy[i] = data[i];
  Bconv2dOptions convolution;
  if (Read(copy.get(), size, &convolution).empty()) {
    CheckSteps(convolution.steps);
    Check(convolution.channels_in >= 1 && convolution.channels_in <= kMost);
    Check(convolution.activation >= Activation::kNone &&
          convolution.activation <= Activation::kRelu6);
  }
  Bmaxpool2dOptions pool;
  if (Read(copy.get(), size, &pool).empty()) {
    CheckSteps(pool.steps);
    Check(pool.filter_height >= 1 && pool.filter_height <= kMost);
    Check(pool.filter_width >= 1 && pool.filter_width <= kMost);
  }
  Check(!Read(nullptr, size, &pool).empty());
  return 0;
}
