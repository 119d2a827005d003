// The interface of our operators. Each reads one tensor, writes another one, and holds its
// constants. A convolution to which float operators are joined reads and writes a few more.
#pragma once

#include "base/tensor.h"
#include "base/threads.h"
#include "kernels/kernel.h"

namespace larq_reactnet_runtime {

// Where the tensors of an operator are.
struct Values {
  const void* input = nullptr;
  void* output = nullptr;
  // The fields below are for a convolution with joined operators, whose `output` may be null.
  const float* added[kSlotCount] = {};
  uint32_t* signs = nullptr;
};

class Op {
 public:
  virtual ~Op() = default;

  // Gives the shape of the output for a shape of the input, or the reason why there is none.
  virtual Reason Infer(const Shape& input, Shape* output) const = 0;

  // Gets ready for inputs of a shape that `Infer` has accepted.
  virtual void Prepare(const Shape& input, int threads) = 0;

  virtual void Run(const Values& values, Threads* threads) const = 0;

  virtual Type output_type() const = 0;

  // For profiles: its name, that of the kernel it uses, and how many products of two bits the last prepared shape needs.
  virtual std::string Name() const = 0;
  virtual const char* KernelName() const { return "portable"; }
  virtual int64_t Products() const { return 0; }
};

}  // namespace larq_reactnet_runtime
