// Which instruction set to use.
#pragma once

#include <string>

#include "base/tensor.h"
#include "kernels/kernel.h"

namespace larq_reactnet_runtime {

// The names of the kernels that can run on this processor, best first.
std::string KernelNames(const char* separator);

// Gives the kernel of this name. For "auto" it is the one that the environment variable
// LARQ_REACTNET_ISA names, or else the best that can run on this processor.
Reason ChooseKernel(std::string name, const Kernel** kernel);

}  // namespace larq_reactnet_runtime
