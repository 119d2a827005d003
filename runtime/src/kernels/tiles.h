// Walks over the pixels of a tile, as many at once as registers hold. Compiled for each kernel.
#pragma once

#include "../epilogue.h"
#include "kernel.h"

namespace larq_reactnet_runtime {
namespace {

// `Counter::Count<kPatches>(patches, stride, filters, steps, counts)` counts unequal bits of some
// patches and of `Counter::kFilters` filters.
template <class Counter, int kPixels>
inline int ConvolvePixels(const Tile& tile, int pixel) {
  for (; pixel + kPixels <= tile.pixels; pixel += kPixels) {
    alignas(64) int32_t counts[kPixels * Counter::kFilters];
    Counter::template Count<kPixels>(tile.patches + static_cast<size_t>(pixel) * tile.patch_stride,
                                     tile.patch_stride, tile.filters, tile.steps, counts);
    for (int i = 0; i < kPixels; ++i) {
      Finish<Counter::kFilters>(tile, pixel + i, counts + i * Counter::kFilters);
    }
  }
  return pixel;
}

template <class Counter>
inline void ConvolveTile(const Tile& tile) {
  int pixel = ConvolvePixels<Counter, Counter::kPixels>(tile, 0);
  if (Counter::kPixels > 2)
    pixel = ConvolvePixels<Counter, (Counter::kPixels + 1) / 2>(tile, pixel);
  ConvolvePixels<Counter, 1>(tile, pixel);
}

}  // namespace
}  // namespace larq_reactnet_runtime
