// Binary convolution for processors that no other kernel is for.
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

typedef uint32_t Words __attribute__((vector_size(16)));

// Adds the bits of x and y to the counts modulo 2 in `*sum`, and returns what they carry.
inline Words Carry(Words x, Words y, Words* sum) {
  const Words either = *sum ^ x;
  const Words carry = (*sum & x) | (either & y);
  *sum = either ^ y;
  return carry;
}

// In each byte the number of its bits.
inline Words CountInBytes(Words x) {
  x -= x >> 1 & 0x55555555u;
  x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
  return (x + (x >> 4)) & 0x0F0F0F0Fu;
}

// In each word the sum of its bytes.
inline Words SumOfBytes(Words x) {
  x = (x & 0x00FF00FFu) + (x >> 8 & 0x00FF00FFu);
  return (x & 0xFFFFu) + (x >> 16);
}

// Few processors have an instruction that counts bits in a register, and to count them in 32-bit
// words takes ten others. So the words of four steps are added up first, bit by bit, by full adders
// (of Harley and Seal), and what is carried to 4 is all that has to be counted in each step.
struct Counter {
  using Lanes = Lanes4;
  static constexpr int kRegisters = 2;
  static constexpr int kFilters = 8;
  static constexpr int kPixels = 1;

  static constexpr int kGroup = 4;
  // A byte grows by at most 8 per group, and must stay below 256.
  static constexpr int kMostGroups = 31;

  template <int kPatches>
  static void Count(const uint32_t* patch, size_t, const uint32_t* filters, int steps,
                    Lanes::Ints (*counts)[kRegisters]) {
    static_assert(kPatches == 1);
    Words ones[kRegisters] = {}, twos[kRegisters] = {}, fours[kRegisters] = {};
    while (steps >= kGroup) {
      int groups = steps / kGroup < kMostGroups ? steps / kGroup : kMostGroups;
      steps -= groups * kGroup;
      Words bytes[kRegisters] = {};
      for (; groups > 0; --groups, patch += kGroup, filters += kGroup * kFilters) {
        for (int j = 0; j < kRegisters; ++j) {
          Words unequal[kGroup];
          for (int k = 0; k < kGroup; ++k) unequal[k] = Unequal(patch[k], filters, k, j);
          const Words first = Carry(unequal[0], unequal[1], &ones[j]);
          const Words second = Carry(unequal[2], unequal[3], &ones[j]);
          bytes[j] += CountInBytes(Carry(first, second, &twos[j]));
        }
      }
      for (int j = 0; j < kRegisters; ++j) fours[j] += SumOfBytes(bytes[j]);
    }
    for (int j = 0; j < kRegisters; ++j) {
      Words bytes = CountInBytes(ones[j]) + 2 * CountInBytes(twos[j]);
      for (int k = 0; k < steps; ++k) bytes += CountInBytes(Unequal(patch[k], filters, k, j));
      counts[0][j] = reinterpret_cast<Lanes::Ints>(4 * fours[j] + SumOfBytes(bytes));
    }
  }

 private:
  // Between a word of the patch and those of a register of filters, `step` steps on.
  static Words Unequal(uint32_t word, const uint32_t* filters, int step, int j) {
    return Load<Words>(filters + step * kFilters + j * Lanes::kLanes) ^ word;
  }
};

void Convolve(const Tile& tile) { ConvolveTile<Counter>(tile); }

constexpr Kernel MakePortable() {
  Kernel kernel;
  kernel.name = "portable";
  kernel.filters = Counter::kFilters;
  kernel.words = 1;
  kernel.pixels = Counter::kPixels;
  kernel.convolve = Convolve;
  kernel.pack_signs = PackSigns;
  return kernel;
}

}  // namespace

constexpr Kernel kPortable = MakePortable();
static_assert(IsComplete(kPortable));

}  // namespace larq_reactnet_runtime
