// An operator of ours: it has one tensor as input, another as output, and constants of its own. A
// convolution to which others are joined has some more.
#pragma once

#include "base/tensor.h"
#include "base/threads.h"
#include "kernels/kernel.h"

namespace larq_reactnet_runtime {

// Where the tensors of an operator are.
struct Values {
  const void* input = nullptr;
  void* output = nullptr;
  // Those below are null for all but a convolution with joined operators, of which `output` may be.
  const float* added[kSlotCount] = {};
  uint32_t* signs = nullptr;
};

class Op {
 public:
  virtual ~Op() = default;

  // Gives the shape of the output for one of the input, or the reason why there is none.
  virtual Reason Infer(const Shape& input, Shape* output) const = 0;

  // Gets ready for inputs of a shape that `Infer` has accepted.
  virtual void Prepare(const Shape& input, int threads) = 0;

  virtual void Run(const Values& values, Threads* threads) const = 0;

  virtual Type output_type() const = 0;

  // For profiles: its name, and how many products of two bits the last prepared shape needs.
  virtual std::string Name() const = 0;
  virtual int64_t Products() const { return 0; }
};

}  // namespace larq_reactnet_runtime
