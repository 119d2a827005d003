// The filters of a binary convolution, in the blocks that a kernel reads; and where in an array the
// values are that belong to a filter.
#pragma once

#include "base/buffer.h"
#include "base/shape.h"
#include "base/tensor.h"
#include "kernels/kernel.h"
#include "ops/options.h"

namespace larq_reactnet_runtime {

// Each group of input channels has filters of its own. No block holds filters of two groups.
class Filters {
 public:
  Filters() = default;
  Filters(const Tensor& filter, int groups, const Kernel& kernel);

  int groups() const { return groups_; }
  int filters_of_group() const { return filters_of_group_; }
  int blocks_of_group() const { return blocks_of_group_; }
  int height() const { return height_; }
  int width() const { return width_; }
  int words() const { return words_; }  // of one pixel of one filter
  int patch_words() const { return height_ * width_ * words_; }
  int steps() const { return steps_; }
  bool is_prepared() const {
    return kernel_->prepare != nullptr && steps_ >= kernel_->prepared_steps;
  }

  // Places in an array that has a value for each filter of each block: how many there are, that of
  // a filter, and that of the first filter of a block.
  size_t places() const { return static_cast<size_t>(groups_) * BlockPlaces(); }
  size_t PlaceOf(int filter) const;
  size_t PlaceOfBlock(int group, int block) const;

  // Copies the filters into blocks, in the order in which the kernel reads them.
  void Pack();

  const uint32_t* BlockAt(int group, int block) const;

  // How many bits one pixel of a filter has.
  int CountBits(int filter, int pixel) const;

 private:
  size_t BlockPlaces() const {
    return static_cast<size_t>(blocks_of_group_) * static_cast<size_t>(kernel_->filters);
  }
  const char* Source(int filter, int pixel) const;

  const Kernel* kernel_ = nullptr;
  const void* source_ = nullptr;  // in the file, where it may not be aligned
  int groups_ = 0, filters_of_group_ = 0, blocks_of_group_ = 0;
  int height_ = 0, width_ = 0, words_ = 0, steps_ = 0;
  Buffer<uint32_t> packed_;
};

}  // namespace larq_reactnet_runtime
