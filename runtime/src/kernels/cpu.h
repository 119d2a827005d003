// Which instruction set to use.
#pragma once

#include <string>

#include "base/tensor.h"
#include "kernels/kernel.h"

namespace larq_reactnet_runtime {

// Gives the kernel of this name, or the best that the processor has for "auto". The environment
// variable LARQ_REACTNET_ISA says what "auto" is.
Reason ChooseKernel(std::string name, const Kernel** kernel);

}  // namespace larq_reactnet_runtime
