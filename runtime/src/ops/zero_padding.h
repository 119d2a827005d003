// Padding with zeros, which are neither +1 nor -1.
#pragma once

#include <vector>

#include "base/buffer.h"
#include "base/shape.h"
#include "ops/filters.h"

namespace larq_reactnet_runtime {

// A patch has bits 0 outside the image, which stand for +1. How far a count is wrong because of
// that depends on the filter, and on which of its pixels are outside. Output pixels for which these
// are the same are of one kind, and share an array of corrections, which is computed before
// anything is run.
class ZeroPadding {
 public:
  void Prepare(const Axis& rows, const Axis& columns, const Filters& filters, int channels);

  // For an output pixel, what to add to the doubled count of each filter.
  const int32_t* At(int y, int x) const {
    const size_t kind =
        row_kinds_[static_cast<size_t>(y)] * columns_ + column_kinds_[static_cast<size_t>(x)];
    return corrections_.data() + kind * places_;
  }

 private:
  size_t columns_ = 0;  // how many kinds of columns there are
  size_t places_ = 0;
  std::vector<size_t> row_kinds_, column_kinds_;
  Buffer<int32_t> corrections_;
};

}  // namespace larq_reactnet_runtime
