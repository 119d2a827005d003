// What the kernels for NEON do differently on 64-bit and on 32-bit ARM: the latter has half as many
// registers, and no instruction for some operations.
//
// NEON on 32-bit ARM takes numbers below 1.2e-38 for 0, as it does in LiteRT's own operators there.
#pragma once

#include <arm_neon.h>

namespace larq_reactnet_runtime {
namespace {

#if defined(__aarch64__)

inline constexpr int kWidePixels = 4;  // that fit into the registers if patches are long

inline uint32x4_t IsBelowZero(float32x4_t values) { return vcltzq_f32(values); }

inline uint32_t SumOfLanes(uint32x4_t lanes) { return vaddvq_u32(lanes); }

// Sums of two neighbours: those of `a`, then those of `b`.
inline uint8x16_t AddPairs(uint8x16_t a, uint8x16_t b) { return vpaddq_u8(a, b); }
inline uint16x8_t AddPairs(uint16x8_t a, uint16x8_t b) { return vpaddq_u16(a, b); }
inline int16x8_t AddPairs(int16x8_t a, int16x8_t b) { return vpaddq_s16(a, b); }

// Bits of `a` where `choice` has ones, and of `b` elsewhere. Written as C++, compilers would make
// three instructions of it.
inline uint32x4_t Select(uint32x4_t choice, uint32x4_t a, uint32x4_t b) {
  asm("bsl %0.16b, %1.16b, %2.16b" : "+w"(choice) : "w"(a), "w"(b));
  return choice;
}

#else

inline constexpr int kWidePixels = 2;

// By the bits of the numbers, which is right for all of them: a comparison of floats would take the
// smallest negative ones for 0. Negative are those from just behind -0.0 up to minus infinity.
inline uint32x4_t IsBelowZero(float32x4_t values) {
  const uint32x4_t behind = vsubq_u32(vreinterpretq_u32_f32(values), vdupq_n_u32(0x80000001));
  return vcltq_u32(behind, vdupq_n_u32(0x7F800000));
}

inline uint32_t SumOfLanes(uint32x4_t lanes) {
  const uint32x2_t two = vadd_u32(vget_low_u32(lanes), vget_high_u32(lanes));
  return vget_lane_u32(vpadd_u32(two, two), 0);
}

inline uint8x16_t AddPairs(uint8x16_t a, uint8x16_t b) {
  return vcombine_u8(vpadd_u8(vget_low_u8(a), vget_high_u8(a)),
                     vpadd_u8(vget_low_u8(b), vget_high_u8(b)));
}
inline uint16x8_t AddPairs(uint16x8_t a, uint16x8_t b) {
  return vcombine_u16(vpadd_u16(vget_low_u16(a), vget_high_u16(a)),
                      vpadd_u16(vget_low_u16(b), vget_high_u16(b)));
}
inline int16x8_t AddPairs(int16x8_t a, int16x8_t b) {
  return vcombine_s16(vpadd_s16(vget_low_s16(a), vget_high_s16(a)),
                      vpadd_s16(vget_low_s16(b), vget_high_s16(b)));
}

inline uint32x4_t Select(uint32x4_t choice, uint32x4_t a, uint32x4_t b) {
  asm("vbsl %q0, %q1, %q2" : "+w"(choice) : "w"(a), "w"(b));
  return choice;
}

#endif

}  // namespace
}  // namespace larq_reactnet_runtime
