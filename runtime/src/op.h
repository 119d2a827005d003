// An operator of ours: it has one tensor as input, another as output, and constants of its own.
#pragma once

#include "tensor.h"
#include "threads.h"

namespace larq_reactnet_runtime {

class Op {
 public:
  virtual ~Op() = default;

  // Gives the shape of the output for one of the input, or the reason why there is none.
  virtual Reason Infer(const Shape& input, Shape* output) const = 0;

  // Gets ready for inputs of a shape that `Infer` has accepted.
  virtual void Prepare(const Shape& input, int threads) = 0;

  virtual void Run(const void* input, void* output, Threads* threads) const = 0;

  virtual Type output_type() const = 0;
};

}  // namespace larq_reactnet_runtime
