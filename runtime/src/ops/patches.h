// What is under the window of a convolution, for each output pixel.
#pragma once

#include <cstdint>

#include "base/shape.h"
#include "kernels/kernel.h"
#include "ops/filters.h"

namespace larq_reactnet_runtime {

class Patches {
 public:
  // `filters` and `kernel` have to exist for as long as this object.
  void Prepare(const Axis& rows, const Axis& columns, size_t input_words, const Filters& filters,
               const Kernel& kernel);

  // Whether the patches are in the input already, one after the other, so that nothing is copied.
  bool is_input() const { return is_input_; }
  size_t stride() const { return stride_; }  // from one to the next, in words

  // The patches of output pixels, from `first` on, for one group of input channels. They are copied
  // to `memory`, unless `is_input`.
  const uint32_t* At(const uint32_t* input, int64_t first, int pixels, int group,
                     uint32_t* memory) const;

 private:
  void FindInner();
  void Gather(const uint32_t* input, int64_t first, int pixels, uint32_t* patches) const;
  void GatherRows(const uint32_t* line, int x, int end, uint32_t* row) const;
  void GatherRow(const uint32_t* line, int x, uint32_t* row) const;
  void Change(int pixels, uint32_t* patches) const;

  const Filters* filters_ = nullptr;
  const Kernel* kernel_ = nullptr;
  Axis rows_, columns_;
  size_t input_words_ = 0, row_words_ = 0, stride_ = 0;
  bool is_input_ = false;
  // For output columns from the first up to but not including the last of these, all pixels of a
  // row of the window are side by side in the input.
  int inner_first_ = 0, inner_last_ = 0;
};

}  // namespace larq_reactnet_runtime
