// Binary convolution with NEON, which counts the bits of bytes in one instruction.
#include "kernels/neon_tile.h"

namespace larq_reactnet_runtime {
namespace {

// Two registers of four filters each. Counts are added up as bytes for some steps, and only then
// become 32-bit numbers.
struct Counter {
  using Lanes = Lanes4;
  static constexpr int kRegisters = 2;
  static constexpr int kFilters = 8;
  static constexpr int kPixels = 4;

  // A byte grows by at most 8 per step, and must stay below 256.
  static constexpr int kMostSteps = 31;

  template <int kPatches>
  static void Count(const uint32_t* patches, size_t stride, const uint32_t* filters, int steps,
                    Lanes::Ints (*counts)[kRegisters]) {
    uint32x4_t sums[kPatches][kRegisters] = {};
    while (steps > 0) {
      const int most = steps < kMostSteps ? steps : kMostSteps;
      uint8x16_t bytes[kPatches][kRegisters];
      CountBytes<kPatches>(patches, stride, filters, most, bytes);
      for (int i = 0; i < kPatches; ++i) {
        for (int j = 0; j < kRegisters; ++j) {
          sums[i][j] = vpadalq_u16(sums[i][j], vpaddlq_u8(bytes[i][j]));
        }
      }
      steps -= most;
      filters += most * kFilters;
      patches += most;
    }
    std::memcpy(counts, sums, sizeof(sums));
  }

  template <int kPatches>
  [[gnu::always_inline]] static inline void CountDoubled(const uint32_t* patches, size_t stride,
                                                         const uint32_t* filters, int steps,
                                                         int32x4_t (*doubled)[kRegisters]) {
    if (steps <= kMostSteps) {
      uint8x16_t bytes[kPatches][kRegisters];
      CountBytes<kPatches>(patches, stride, filters, steps, bytes);
      for (int i = 0; i < kPatches; ++i) {
        for (int j = 0; j < kRegisters; ++j) {
          const uint16x8_t pairs = vpaddlq_u8(bytes[i][j]);
          doubled[i][j] = vreinterpretq_s32_u32(vpadalq_u16(vpaddlq_u16(pairs), pairs));
        }
      }
      return;
    }
    Lanes::Ints counts[kPatches][kRegisters];
    Count<kPatches>(patches, stride, filters, steps, counts);
    for (int i = 0; i < kPatches; ++i) {
      for (int j = 0; j < kRegisters; ++j) {
        doubled[i][j] = reinterpret_cast<int32x4_t>(counts[i][j] + counts[i][j]);
      }
    }
  }

 private:
  template <int kPatches>
  [[gnu::always_inline]] static inline void CountBytes(const uint32_t* patches, size_t stride,
                                                       const uint32_t* filters, int steps,
                                                       uint8x16_t (*bytes)[kRegisters]) {
    const uint32_t* words[kPatches];
    for (int i = 0; i < kPatches; ++i) {
      words[i] = patches + static_cast<size_t>(i) * stride;
      bytes[i][0] = bytes[i][1] = vdupq_n_u8(0);
    }
#pragma GCC unroll 2
    for (; steps > 0; --steps, filters += kFilters) {
      const uint32x4_t low = vld1q_u32(filters), high = vld1q_u32(filters + 4);
      for (int i = 0; i < kPatches; ++i) {
        const uint32x4_t word = vld1q_dup_u32(words[i]++);
        bytes[i][0] = vaddq_u8(bytes[i][0], Unequal(low, word));
        bytes[i][1] = vaddq_u8(bytes[i][1], Unequal(high, word));
      }
    }
  }

  static uint8x16_t Unequal(uint32x4_t filters, uint32x4_t words) {
    return vcntq_u8(vreinterpretq_u8_u32(veorq_u32(filters, words)));
  }
};

void Convolve(const Tile& tile) { ConvolveNeon<Counter>(tile); }

// For four values, the bits that they have in a word: set where the value is negative.
uint32x4_t NegativeOf4(const float* values, uint32x4_t places) {
  return vandq_u32(IsBelowZero(vld1q_f32(values)), places);
}

void PackSigns(const float* values, size_t count, uint32_t* words) {
  const uint32_t first_places[] = {1, 2, 4, 8};
  for (; count >= 32; count -= 32, values += 32) {
    uint32x4_t places = vld1q_u32(first_places);
    uint32x4_t bits = vdupq_n_u32(0);
    for (int i = 0; i < 32; i += 4) {
      bits = vorrq_u32(bits, NegativeOf4(values + i, places));
      places = vshlq_n_u32(places, 4);
    }
    *words++ = SumOfLanes(bits);  // no bit is set twice
  }
  if (count == 0) return;
  uint32_t word = 0;
  for (size_t i = 0; i < count; ++i) word |= uint32_t{values[i] < 0} << i;
  *words = word;
}

constexpr Kernel MakeNeon() {
  Kernel kernel;
  kernel.name = "neon";
  kernel.filters = Counter::kFilters;
  kernel.words = 1;
  kernel.pixels = Counter::kPixels;
  kernel.convolve = Convolve;
  kernel.pack_signs = PackSigns;
  kernel.wide = &kNeonWide;  // faster for patches of 4 words or more, and can count up to 300
  kernel.least_wide = 4;
  kernel.most_wide = 300;
  return kernel;
}

}  // namespace

constexpr Kernel kNeon = MakeNeon();
static_assert(IsComplete(kNeon));

}  // namespace larq_reactnet_runtime
