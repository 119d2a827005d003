// Binary convolution with NEON, which counts the bits of bytes in one instruction.
#include <arm_neon.h>

#include "tiles.h"

namespace larq_reactnet_runtime {
namespace {

struct Lanes4 : Register<16> {
  static uint32_t IsNegative(Floats values) {
    return Bits(vcltzq_f32(reinterpret_cast<float32x4_t>(values)));
  }
  static uint32_t IsGreater(Ints a, Ints b) {
    return Bits(vcgtq_s32(reinterpret_cast<int32x4_t>(a), reinterpret_cast<int32x4_t>(b)));
  }

 private:
  static uint32_t Bits(uint32x4_t mask) {
    const uint32_t places[] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(mask, vld1q_u32(places)));
  }
};

// Two registers of four filters. Bytes are added up for some steps before they become words.
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
    uint32x4_t low[kPatches], high[kPatches];
    for (int i = 0; i < kPatches; ++i) low[i] = high[i] = vdupq_n_u32(0);
    while (steps > 0) {
      const int most = steps < kMostSteps ? steps : kMostSteps;
      steps -= most;
      uint8x16_t low_bytes[kPatches], high_bytes[kPatches];
      for (int i = 0; i < kPatches; ++i) low_bytes[i] = high_bytes[i] = vdupq_n_u8(0);
      for (int step = 0; step < most; ++step) {
        const uint32x4_t low_filters = vld1q_u32(filters);
        const uint32x4_t high_filters = vld1q_u32(filters + 4);
        for (int i = 0; i < kPatches; ++i) {
          const uint32x4_t words = vld1q_dup_u32(patches + static_cast<size_t>(i) * stride);
          low_bytes[i] = vaddq_u8(low_bytes[i], Unequal(low_filters, words));
          high_bytes[i] = vaddq_u8(high_bytes[i], Unequal(high_filters, words));
        }
        filters += kFilters;
        ++patches;
      }
      for (int i = 0; i < kPatches; ++i) {
        low[i] = vpadalq_u16(low[i], vpaddlq_u8(low_bytes[i]));
        high[i] = vpadalq_u16(high[i], vpaddlq_u8(high_bytes[i]));
      }
    }
    for (int i = 0; i < kPatches; ++i) {
      counts[i][0] = reinterpret_cast<Lanes::Ints>(low[i]);
      counts[i][1] = reinterpret_cast<Lanes::Ints>(high[i]);
    }
  }

  static uint8x16_t Unequal(uint32x4_t filters, uint32x4_t words) {
    return vcntq_u8(vreinterpretq_u8_u32(veorq_u32(filters, words)));
  }
};

void Convolve(const Tile& tile) { ConvolveTile<Counter>(tile); }

// Bits of four values that are negative, at the places of those in a word.
uint32x4_t NegativeOf4(const float* values, uint32x4_t places) {
  return vandq_u32(vcltzq_f32(vld1q_f32(values)), places);
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
    *words++ = vaddvq_u32(bits);  // no bit is set twice
  }
  if (count == 0) return;
  uint32_t word = 0;
  for (size_t i = 0; i < count; ++i) word |= uint32_t{values[i] < 0} << i;
  *words = word;
}

}  // namespace

const Kernel kNeon = {"neon", Counter::kFilters, 1, Counter::kPixels, Convolve, PackSigns};

}  // namespace larq_reactnet_runtime
