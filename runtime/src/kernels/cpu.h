// Which instruction set to use.
#pragma once

#include <string>

#include "base/tensor.h"
#include "kernels/kernel.h"

namespace larq_reactnet_runtime {

// The names of the kernels that can run on this processor, best first.
std::string KernelNames(const char* separator);

// Gives the kernel of this name, or the best that the processor has for "auto". The environment
// variable LARQ_REACTNET_ISA says what "auto" is.
Reason ChooseKernel(std::string name, const Kernel** kernel);

}  // namespace larq_reactnet_runtime
