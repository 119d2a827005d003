// What the kernels for NEON share: registers, and a loop over the pixels of a tile whose epilogue
// is that of ReActNet and nothing else. It takes half the instructions of the general one.
#pragma once

#include "kernels/neon_machine.h"
#include "kernels/tiles.h"

namespace larq_reactnet_runtime {
namespace {

struct Lanes4 : Register<16> {
  static uint32_t IsNegative(Floats values) {
    return Bits(IsBelowZero(reinterpret_cast<float32x4_t>(values)));
  }
  static uint32_t IsGreater(Ints a, Ints b) {
    return Bits(vcgtq_s32(reinterpret_cast<int32x4_t>(a), reinterpret_cast<int32x4_t>(b)));
  }

 private:
  static uint32_t Bits(uint32x4_t mask) {
    const uint32_t places[] = {1, 2, 4, 8};
    return SumOfLanes(vandq_u32(mask, vld1q_u32(places)));
  }
};

// Both kernels have blocks of eight filters. Their counts are two registers of 32-bit numbers, or
// one of 16-bit numbers; their signs are one byte.
inline constexpr int kBlock = 8;
inline constexpr int kBlockRegisters = 2;

struct Pair {
  explicit Pair(const float* values) : low(vld1q_f32(values)), high(vld1q_f32(values + 4)) {}
  Pair(float32x4_t first, float32x4_t second) : low(first), high(second) {}

  float32x4_t low, high;
};

inline Pair operator+(const Pair& a, const Pair& b) {
  return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)};
}
inline Pair operator*(const Pair& a, const Pair& b) {
  return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)};
}

inline float32x4_t Prelu(float32x4_t value, float32x4_t product) {
  return vbslq_f32(IsBelowZero(value), product, value);
}

// Writes the signs of eight values into one byte.
inline void StoreSigns(const Pair& values, uint32x4_t high_places, uint32x4_t both_places,
                       uint8_t* byte) {
  const uint32x4_t bits = vbslq_u32(high_places, IsBelowZero(values.high), IsBelowZero(values.low));
  // The sum of the lanes is their OR, as no two of them have the same bit.
  *byte = static_cast<uint8_t>(SumOfLanes(vandq_u32(bits, both_places)));
}

// Where the next pixel reads and writes. To move pointers on takes fewer instructions than to
// multiply the number of a pixel by all strides.
struct Cursor {
  explicit Cursor(const Tile& tile)
      : patches(tile.patches),
        corrections(tile.corrections),
        added(tile.added[kShortcutSlot] +
              static_cast<size_t>(tile.channel) % tile.added_stride[kShortcutSlot]),
        output(static_cast<float*>(tile.output) + tile.channel),
        signs(reinterpret_cast<uint8_t*>(tile.signs) + tile.channel / 8) {}

  const uint32_t* patches;
  const int32_t* const* corrections;
  const float* added;
  float* output;
  uint8_t* signs;
};

// The constants are loaded in the loop, but are the same for all pixels: the compiler keeps those
// that it has registers for.
template <class Counter, int kPixels, bool kIsCorrected>
[[gnu::always_inline]] inline void FinishReactnet(const Tile& tile, const Epilogue& epilogue,
                                                  int pixels, Cursor* cursor) {
  const uint32_t places[] = {16, 32, 64, 128, 17, 34, 68, 136};
  Cursor at = *cursor;
  for (; pixels >= kPixels; pixels -= kPixels) {
    int32x4_t doubled[kPixels][kBlockRegisters];
    Counter::template CountDoubled<kPixels>(at.patches, tile.patch_stride, tile.filters, tile.steps,
                                            doubled);
    at.patches += kPixels * tile.patch_stride;
    const Pair multiplier(epilogue.multiplier + tile.block), bias(epilogue.bias + tile.block);
    const Pair slope(epilogue.constants[kPreluSlot] + tile.block);
    const Pair constant(epilogue.constants[kShiftSlot] + tile.block);
    const uint32x4_t high_places = vld1q_u32(places), both_places = vld1q_u32(places + 4);
#pragma GCC unroll 4
    for (int i = 0; i < kPixels; ++i) {
      if constexpr (kIsCorrected) {
        const int32_t* correction = *at.corrections++ + tile.block;
        doubled[i][0] = vaddq_s32(doubled[i][0], vld1q_s32(correction));
        doubled[i][1] = vaddq_s32(doubled[i][1], vld1q_s32(correction + 4));
      }
      const Pair sums(vcvtq_f32_s32(doubled[i][0]), vcvtq_f32_s32(doubled[i][1]));
      const Pair value = sums * multiplier + bias + Pair(at.added);
      const Pair product = value * slope;
      const Pair result =
          Pair(Prelu(value.low, product.low), Prelu(value.high, product.high)) + constant;
      vst1q_f32(at.output, result.low);
      vst1q_f32(at.output + 4, result.high);
      StoreSigns(result, high_places, both_places, at.signs);
      at.added += tile.added_stride[kShortcutSlot];
      at.output += tile.output_stride;
      at.signs += tile.signs_stride * sizeof(uint32_t);
    }
  }
  *cursor = at;
}

template <class Counter, bool kIsCorrected>
inline void ConvolveReactnet(const Tile& given) {
  const Tile tile = given;
  const Epilogue epilogue = *given.epilogue;
  Cursor cursor(tile);
  constexpr int kMost = Counter::kPixels;
  FinishReactnet<Counter, kMost, kIsCorrected>(tile, epilogue, tile.pixels, &cursor);
  int rest = tile.pixels % kMost;
  if constexpr (kMost > 2) {
    FinishReactnet<Counter, kMost / 2, kIsCorrected>(tile, epilogue, rest, &cursor);
    rest %= kMost / 2;
  }
  FinishReactnet<Counter, 1, kIsCorrected>(tile, epilogue, rest, &cursor);
}

template <class Counter>
inline void ConvolveNeon(const Tile& tile) {
  const bool is_reactnet = IsReactnet(tile, kBlock) && tile.channel % kBlock == 0 &&
                           tile.added_stride[kShortcutSlot] % kBlock == 0;
  if (!is_reactnet) return ConvolveTile<Counter>(tile);
  if (tile.corrections != nullptr) return ConvolveReactnet<Counter, true>(tile);
  ConvolveReactnet<Counter, false>(tile);
}

}  // namespace
}  // namespace larq_reactnet_runtime
