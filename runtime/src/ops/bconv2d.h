// LceBconv2d: a convolution of packed signs with packed signs.
#pragma once

#include <memory>

#include "kernels/kernel.h"
#include "ops/op.h"
#include "ops/options.h"

namespace larq_reactnet_runtime {

// The order of the operator's inputs in a file.
enum Bconv2dInput {
  kImageInput,
  kFilterInput,
  kMultiplierInput,
  kBiasInput,
  kThresholdsInput,
  kBconv2dInputs  // how many
};

// The constants of the operator. Those that its type of output does not need may be missing.
struct Bconv2dConstants {
  Tensor filter, multiplier, bias, thresholds;
};

// The float operators that are joined to it: the slots of the epilogue that they are in, as bits,
// and their constants.
struct Joined {
  bool is_any = false;
  int slots = 0;
  int twice = 0;  // those of the slots whose summand has half as many channels, and is added twice
  Tensor constants[kSlotCount];
};

Reason MakeBconv2d(const Tensor& input, const Tensor& output, const Bconv2dConstants& constants,
                   const Joined& joined, const Bconv2dOptions& options, const Kernel& kernel,
                   std::unique_ptr<Op>* op);

}  // namespace larq_reactnet_runtime
