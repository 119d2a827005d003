// Binary convolution with 64-bit words, for processors that no other kernel is for.
#include "base/bits.h"
#include "kernels/tiles.h"

namespace larq_reactnet_runtime {
namespace {

// As wide as the registers of most processors; the compiler takes smaller ones if it has to.
struct Lanes4 : Register<16> {
  static uint32_t IsNegative(Floats values) {
    uint32_t bits = 0;
    for (int i = 0; i < kLanes; ++i) bits |= uint32_t{values[i] < 0} << i;
    return bits;
  }
  static uint32_t IsGreater(Ints a, Ints b) {
    uint32_t bits = 0;
    for (int i = 0; i < kLanes; ++i) bits |= uint32_t{a[i] > b[i]} << i;
    return bits;
  }
};

struct Counter {
  using Lanes = Lanes4;
  static constexpr int kRegisters = 2;
  static constexpr int kFilters = 8;
  static constexpr int kPixels = 2;

  template <int kPatches>
  static void Count(const uint32_t* patches, size_t stride, const uint32_t* filters, int steps,
                    Lanes::Ints (*registers)[kRegisters]) {
    int32_t counts[kPatches * kFilters] = {};
    for (int step = 0; step < steps; ++step) {
      uint64_t words[kPatches];
      for (int patch = 0; patch < kPatches; ++patch) {
        std::memcpy(&words[patch],
                    patches + static_cast<size_t>(patch) * stride + 2 * static_cast<size_t>(step),
                    sizeof(uint64_t));
      }
      for (int filter = 0; filter < kFilters; ++filter) {
        uint64_t bits;
        std::memcpy(&bits, filters, sizeof(bits));
        filters += 2;
        for (int patch = 0; patch < kPatches; ++patch) {
          counts[patch * kFilters + filter] += __builtin_popcountll(words[patch] ^ bits);
        }
      }
    }
    std::memcpy(registers, counts, sizeof(counts));
  }
};

void Convolve(const Tile& tile) { ConvolveTile<Counter>(tile); }

constexpr Kernel MakePortable() {
  Kernel kernel;
  kernel.name = "portable";
  kernel.filters = Counter::kFilters;
  kernel.words = 2;
  kernel.pixels = Counter::kPixels;
  kernel.convolve = Convolve;
  kernel.pack_signs = PackSigns;
  return kernel;
}

}  // namespace

constexpr Kernel kPortable = MakePortable();
static_assert(IsComplete(kPortable));

}  // namespace larq_reactnet_runtime
