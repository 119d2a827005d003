// Finds the instruction sets that this processor has and this library has kernels for.
#include "kernels/cpu.h"

#include <cstdlib>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__arm__)
#include <sys/auxv.h>
#endif

namespace larq_reactnet_runtime {
namespace {

#if defined(__x86_64__)
// The instruction sets of the processor whose registers the system saves when it changes threads.
// `__builtin_cpu_supports` would ask the compiler's runtime library, and that of zig finds none.
struct Features {
  bool avx2 = false, avx512 = false, vpopcntdq = false;

  Features() {
    constexpr unsigned kOsXsave = 1u << 27, kAvx2 = 1u << 5, kVpopcntdq = 1u << 14;
    constexpr unsigned kFDqBwVl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    constexpr unsigned kYmm = 0x6, kZmm = 0xE6;  // registers that the system saves
    unsigned eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kOsXsave) == 0) return;
    unsigned saved, high;
    asm("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return;
    avx2 = (saved & kYmm) == kYmm && (ebx & kAvx2) != 0;
    avx512 = avx2 && (saved & kZmm) == kZmm && (ebx & kFDqBwVl) == kFDqBwVl;
    vpopcntdq = avx512 && (ecx & kVpopcntdq) != 0;
  }
};
#endif

// The kernels that can run here, best first.
std::vector<const Kernel*> Available() {
  std::vector<const Kernel*> kernels;
#if defined(__x86_64__)
  const Features features;
  if (features.vpopcntdq) kernels.push_back(&kAvx512Vpopcntdq);
  if (features.avx512) kernels.push_back(&kAvx512);
  if (features.avx2) kernels.push_back(&kAvx2);
#elif defined(__aarch64__)
  kernels.push_back(&kNeon);  // every 64-bit ARM has it
#elif defined(__arm__)
  constexpr unsigned long kHasNeon = 1u << 12;
  if ((getauxval(AT_HWCAP) & kHasNeon) != 0) kernels.push_back(&kNeon);
#endif
  kernels.push_back(&kPortable);
  return kernels;
}

}  // namespace

std::string KernelNames(const char* separator) {
  std::string names;
  for (const Kernel* kernel : Available()) {
    if (!names.empty()) names += separator;
    names += kernel->name;
  }
  return names;
}

Reason ChooseKernel(std::string name, const Kernel** kernel) {
  const char* wanted = std::getenv("LARQ_REACTNET_ISA");
  if (name == "auto" && wanted != nullptr && *wanted != 0) name = wanted;
  for (const Kernel* candidate : Available()) {
    if (name == "auto" || name == candidate->name) {
      *kernel = candidate;
      return {};
    }
  }
  return "the instruction set (option isa, or LARQ_REACTNET_ISA) must be one of auto, " +
         KernelNames(", ") + " on this machine, got " + name;
}

}  // namespace larq_reactnet_runtime
