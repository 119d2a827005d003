// The epilogue of a binary convolution: all that happens between the count of unequal bits, which a
// kernel makes, and the output that is written to memory.
//
// ----------------
// What is computed
// ----------------
//
// Let K be the number of products in one sum, window height * window width * input channels of the
// group. Signs are bits, so a product is -1 where the bit of the patch and that of the filter are
// unequal, and +1 elsewhere. With c unequal bits out of K, the operator LceBconv2d computes
//
//   1. sum = K - 2 c        what a convolution of floats gives for inputs and weights of +1 and -1
//   2. clamp sum            the fused activation: RELU, RELU_N1_TO_1, RELU6, or none
//   3. y = sum * m + b      a multiplier and a bias for each output channel, such as those of a
//                           batch normalization
//
// Here steps 1 and 3 are one multiplication and one addition. Put x = 2 c and sum = K - x:
//
//   y = float(clamp'(x)) * m' + b'      with m' = -m, b' = b + K m,
//                                       and clamp' to [K - highest sum, K - lowest sum]
//
// ops/bconv2d.cc computes m' and b' as Larq Compute Engine does, in float64 and rounded once, so
// the outputs are equal to the last bit. It is the *doubled count* x that is clamped and compared,
// not c. A limit of a sum may be half a count away from a whole number of unequal bits, and so may
// be the correction for padding; in x both are integers.
//
// ------------------
// Padding with zeros
// ------------------
//
// A zero is neither +1 nor -1. A patch has bits 0 outside the image, which stand for +1. There, a
// pixel of a filter with n channels, b of which are negative, has b unequal bits and contributes
// n - 2 b to the sum, but has to contribute 0. Adding n - 2 b to x takes that away. `corrections`
// has the sum of these numbers over the pixels of the filter that are outside the image, for each
// filter (see ops/zero_padding.h). It is null if nothing has to be corrected. K stays what it is.
//
// ----------------
// Kinds of outputs
// ----------------
//
// kFloat: y is written.
//
// kInt8: 4. y / scale + zero point, which is a part of m' and b';
//        5. to the nearest integer, halves away from zero, and clamped to [-128, 127].
//
// kBits: the sign of y, without computing y. Whether y is negative depends on nothing but x, so the
// file has a threshold for each channel: the bit is 1, which is negative, where x is greater than
// twice the threshold.
//
// kJoined: float operators that follow the convolution in the graph, and the LceQuantize behind
// them, are run here on y while it is in registers (graph/fusion.h decides which). They are in
// *slots*, in the order of kSlots; each slot has one operator or none:
//
//   kAddConstant   y += constant of the channel
//   kAddTensor     y += another tensor at the same place. If it has half as many channels, they are
//                  added to the first half of the channels, and once more to the second half.
//   kPrelu         y = y < 0 ? y * slope of the channel : y
//
// Each operator rounds its result to float32, also the multiplication and the addition of step 3:
// the compiler may not fuse them. So y has the bits that the interpreter's own operators would
// give. At the end y is written if `output` is not null, and its signs if `signs` is not null; -0.0
// and NaN are not negative.
//
// --------------------
// How bits are written
// --------------------
//
// A word has the signs of 32 channels, the first in its lowest bit. A vector comparison gives a bit
// for each lane; those of all registers, side by side, are the bits of a block of filters. A block
// may hold filters that only fill it up: their bits are cleared. It may also begin in the middle of
// a word, and share words with other blocks. So its bits are or-ed into words that ops/bconv2d.cc
// has set to 0.
//
// ---------------
// How it is built
// ---------------
//
// The functions are compiled once for each instruction set. They are in an unnamed namespace, and
// call nothing of the standard library: of two functions with the same name the linker would keep
// one, perhaps that for another processor. They are always inlined, into a loop over pixels that
// keeps what it can in registers. What kind of output it is, and whether the slots are those of
// ReActNet, is known when they are compiled.
#pragma once

#include <cstring>

#include "kernels/kernel.h"
#include "kernels/lanes.h"

namespace larq_reactnet_runtime {
namespace {

// To the nearest integer, halves away from zero; NaN to the lowest.
inline int8_t ToInt8(float value) {
  const float low = value > -128.0f ? value : -128.0f;
  const float clamped = low < 127.0f ? low : 127.0f;
  const int32_t whole = static_cast<int32_t>(clamped);
  const float rest = clamped - static_cast<float>(whole);
  return static_cast<int8_t>(whole + (rest >= 0.5f) - (rest <= -0.5f));
}

// Bits of other channels may be in the same words: those of this block are added.
[[gnu::always_inline]] inline void AddBits(uint32_t bits, int channel, uint32_t* words) {
  words += channel / 32;
  const int shift = channel % 32;
  words[0] |= bits << shift;
  if (shift != 0 && bits >> (32 - shift) != 0) words[1] |= bits >> (32 - shift);
}

template <class Lanes>
using Ints = typename Lanes::Ints;
template <class Lanes>
using Floats = typename Lanes::Floats;

// What a tensor has for the channels of the tile at one pixel. There may be fewer than filters.
template <class Lanes, int kRegisters>
[[gnu::always_inline]] inline void LoadRow(const Tile& tile, const float* row,
                                           Floats<Lanes>* values) {
  constexpr int kFilters = kRegisters * Lanes::kLanes;
  float padded[kFilters] = {};
  if (tile.channels != kFilters) {
    std::memcpy(padded, row, static_cast<size_t>(tile.channels) * sizeof(float));
    row = padded;
  }
  for (int i = 0; i < kRegisters; ++i) values[i] = Load<Floats<Lanes>>(row + i * Lanes::kLanes);
}

template <class Lanes, int kRegisters>
[[gnu::always_inline]] inline void StoreRow(const Tile& tile, const Floats<Lanes>* values,
                                            float* row) {
  constexpr int kFilters = kRegisters * Lanes::kLanes;
  if (tile.channels == kFilters) {
    for (int i = 0; i < kRegisters; ++i) Store(values[i], row + i * Lanes::kLanes);
    return;
  }
  float padded[kFilters];
  for (int i = 0; i < kRegisters; ++i) Store(values[i], padded + i * Lanes::kLanes);
  std::memcpy(row, padded, static_cast<size_t>(tile.channels) * sizeof(float));
}

// One of the operators that are joined to the convolution.
template <class Lanes, int kRegisters, int kSlot>
[[gnu::always_inline]] inline void RunSlot(const Tile& tile, const Epilogue& epilogue, int pixel,
                                           Floats<Lanes>* values) {
  Floats<Lanes> operands[kRegisters];
  if constexpr (kSlots[kSlot] == Stage::kAddTensor) {
    const size_t row = static_cast<size_t>(pixel) * tile.added_stride[kSlot];
    LoadRow<Lanes, kRegisters>(tile, tile.added[kSlot] + row, operands);
  } else {
    const float* constants = epilogue.constants[kSlot] + tile.block;
    for (int i = 0; i < kRegisters; ++i) {
      operands[i] = Load<Floats<Lanes>>(constants + i * Lanes::kLanes);
    }
  }
  for (int i = 0; i < kRegisters; ++i) {
    if constexpr (kSlots[kSlot] == Stage::kPrelu) {
      values[i] = values[i] < 0.0f ? values[i] * operands[i] : values[i];
    } else {
      values[i] += operands[i];
    }
  }
}

// Those in the slots from `kSlot` on.
template <class Lanes, int kRegisters, int kSlot = 0>
[[gnu::always_inline]] inline void RunSlots(const Tile& tile, const Epilogue& epilogue, int pixel,
                                            Floats<Lanes>* values) {
  if constexpr (kSlot < kSlotCount) {
    if ((epilogue.slots >> kSlot & 1) != 0) {
      RunSlot<Lanes, kRegisters, kSlot>(tile, epilogue, pixel, values);
    }
    RunSlots<Lanes, kRegisters, kSlot + 1>(tile, epilogue, pixel, values);
  }
}

[[gnu::always_inline]] inline uint32_t BitsOfChannels(const Tile& tile, uint32_t bits) {
  return tile.channels < 32 ? bits & ((uint32_t{1} << tile.channels) - 1) : bits;
}

// `Lanes` is a Register, with functions that give a bit for each lane: IsNegative, IsGreater.
template <class Lanes, int kRegisters, Output kOutput>
[[gnu::always_inline]] inline void Finish(const Tile& tile, const Epilogue& epilogue, int pixel,
                                          const Ints<Lanes>* counts) {
  constexpr int kLanes = Lanes::kLanes;
  Ints<Lanes> doubled[kRegisters];
  for (int i = 0; i < kRegisters; ++i) doubled[i] = counts[i] + counts[i];
  if (tile.corrections != nullptr) {
    const int32_t* correction = tile.corrections[pixel] + tile.block;
    for (int i = 0; i < kRegisters; ++i) doubled[i] += Load<Ints<Lanes>>(correction + i * kLanes);
  }
  const size_t row = static_cast<size_t>(pixel) * tile.output_stride;

  if constexpr (kOutput == Output::kBits) {
    const int32_t* thresholds = epilogue.thresholds + tile.block;
    uint32_t bits = 0;
    for (int i = 0; i < kRegisters; ++i) {
      const Ints<Lanes> threshold = Load<Ints<Lanes>>(thresholds + i * kLanes);
      bits |= Lanes::IsGreater(doubled[i], threshold) << (i * kLanes);
    }
    AddBits(BitsOfChannels(tile, bits), tile.channel, static_cast<uint32_t*>(tile.output) + row);
    return;
  }

  const float* multiplier = epilogue.multiplier + tile.block;
  const float* bias = epilogue.bias + tile.block;
  const Ints<Lanes> lowest = Ints<Lanes>{} + epilogue.lowest;
  const Ints<Lanes> highest = Ints<Lanes>{} + epilogue.highest;
  Floats<Lanes> values[kRegisters];
  for (int i = 0; i < kRegisters; ++i) {
    const Ints<Lanes> low = doubled[i] > lowest ? doubled[i] : lowest;
    const Ints<Lanes> clamped = low < highest ? low : highest;
    values[i] = __builtin_convertvector(clamped, Floats<Lanes>) *
                    Load<Floats<Lanes>>(multiplier + i * kLanes) +
                Load<Floats<Lanes>>(bias + i * kLanes);
  }
  const size_t first = row + static_cast<size_t>(tile.channel);
  if constexpr (kOutput == Output::kInt8) {
    float floats[kRegisters * kLanes];
    int8_t bytes[kRegisters * kLanes];
    for (int i = 0; i < kRegisters; ++i) Store(values[i], floats + i * kLanes);
    for (int i = 0; i < kRegisters * kLanes; ++i) bytes[i] = ToInt8(floats[i]);
    std::memcpy(static_cast<int8_t*>(tile.output) + first, bytes,
                static_cast<size_t>(tile.channels));
    return;
  }
  if constexpr (kOutput == Output::kJoined) {
    RunSlots<Lanes, kRegisters>(tile, epilogue, pixel, values);
    if (tile.signs != nullptr) {
      uint32_t bits = 0;
      for (int i = 0; i < kRegisters; ++i) bits |= Lanes::IsNegative(values[i]) << (i * kLanes);
      AddBits(BitsOfChannels(tile, bits), tile.channel,
              tile.signs + static_cast<size_t>(pixel) * tile.signs_stride);
    }
    if (tile.output == nullptr) return;
  }
  StoreRow<Lanes, kRegisters>(tile, values, static_cast<float*>(tile.output) + first);
}

// Whether a tile is what FinishReactnet is for: the slots are those of ReActNet, nothing is
// clamped, all filters of the block are channels, and floats and their signs are written.
inline bool IsReactnet(const Tile& tile, int filters) {
  const Epilogue& epilogue = *tile.epilogue;
  return epilogue.output == Output::kJoined && epilogue.slots == kReactnetSlots &&
         !epilogue.is_clamped && tile.output != nullptr && tile.signs != nullptr &&
         tile.channels == filters;
}

// The same as Finish, and faster: one register is computed to its end before the next, so that
// nothing has to wait in memory.
template <class Lanes, int kRegisters, bool kIsCorrected>
[[gnu::always_inline]] inline void FinishReactnet(const Tile& tile, const Epilogue& epilogue,
                                                  int pixel, const Ints<Lanes>* counts) {
  constexpr int kLanes = Lanes::kLanes;
  const size_t at = static_cast<size_t>(pixel);
  const int32_t* correction = kIsCorrected ? tile.corrections[pixel] + tile.block : nullptr;
  const float* multiplier = epilogue.multiplier + tile.block;
  const float* bias = epilogue.bias + tile.block;
  const float* added = tile.added[kShortcutSlot] + at * tile.added_stride[kShortcutSlot];
  const float* slope = epilogue.constants[kPreluSlot] + tile.block;
  const float* shift = epilogue.constants[kShiftSlot] + tile.block;
  float* output = static_cast<float*>(tile.output) + at * tile.output_stride + tile.channel;
  uint32_t bits = 0;
#pragma GCC unroll 8
  for (int i = 0; i < kRegisters; ++i) {
    const int lane = i * kLanes;
    Ints<Lanes> doubled = counts[i] + counts[i];
    if constexpr (kIsCorrected) doubled += Load<Ints<Lanes>>(correction + lane);
    Floats<Lanes> value =
        __builtin_convertvector(doubled, Floats<Lanes>) * Load<Floats<Lanes>>(multiplier + lane) +
        Load<Floats<Lanes>>(bias + lane);
    value += Load<Floats<Lanes>>(added + lane);
    value = value < 0.0f ? value * Load<Floats<Lanes>>(slope + lane) : value;
    value += Load<Floats<Lanes>>(shift + lane);
    Store(value, output + lane);
    bits |= Lanes::IsNegative(value) << lane;
  }
  AddBits(bits, tile.channel, tile.signs + at * tile.signs_stride);
}

}  // namespace
}  // namespace larq_reactnet_runtime
