// LceQuantize and LceDequantize: from numbers to packed signs and back.
#pragma once

#include <memory>

#include "kernels/kernel.h"
#include "ops/op.h"

namespace larq_reactnet_runtime {

Reason MakeQuantize(const Tensor& input, const Tensor& output, const Kernel& kernel,
                    std::unique_ptr<Op>* op);

Reason MakeDequantize(const Tensor& input, const Tensor& output, std::unique_ptr<Op>* op);

}  // namespace larq_reactnet_runtime
