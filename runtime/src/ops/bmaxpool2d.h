// LceBMaxPool2d: the maximum of packed signs under a window.
#pragma once

#include <memory>

#include "ops/op.h"
#include "ops/options.h"

namespace larq_reactnet_runtime {

Reason MakeBmaxpool2d(const Tensor& input, const Tensor& output, const Bmaxpool2dOptions& options,
                      std::unique_ptr<Op>* op);

}  // namespace larq_reactnet_runtime
