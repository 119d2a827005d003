// Which instruction sets this library and this processor have.
#include "cpu.h"

#include <cstdlib>
#include <vector>

namespace larq_reactnet_runtime {
namespace {

// The kernels that can run here, best first.
std::vector<const Kernel*> Available() {
  std::vector<const Kernel*> kernels;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (has_avx512 && __builtin_cpu_supports("avx512vpopcntdq")) {
    kernels.push_back(&kAvx512Vpopcntdq);
  }
  if (has_avx512) kernels.push_back(&kAvx512);
  if (__builtin_cpu_supports("avx2")) kernels.push_back(&kAvx2);
#elif defined(__aarch64__)
  kernels.push_back(&kNeon);  // every 64-bit ARM has it
#endif
  kernels.push_back(&kPortable);
  return kernels;
}

}  // namespace

Reason ChooseKernel(std::string name, const Kernel** kernel) {
  const std::vector<const Kernel*> kernels = Available();
  const char* wanted = std::getenv("LARQ_REACTNET_ISA");
  if (name == "auto" && wanted != nullptr && *wanted != 0) name = wanted;
  std::string names = "auto";
  for (const Kernel* candidate : kernels) {
    if (name == "auto" || name == candidate->name) {
      *kernel = candidate;
      return {};
    }
    names += std::string(", ") + candidate->name;
  }
  return "the instruction set (option isa, or LARQ_REACTNET_ISA) must be one of " + names +
         " on this machine, got " + name;
}

}  // namespace larq_reactnet_runtime
