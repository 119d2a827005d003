// The options of LCE's operators, typed and checked.
#pragma once

#include <cstddef>

#include "base/shape.h"
#include "base/tensor.h"

namespace larq_reactnet_runtime {

// The numbers are those in the file.
enum class Activation { kNone = 0, kRelu = 1, kReluN1To1 = 2, kRelu6 = 3 };

// How a window moves over an image; its size is not a part of this.
struct Steps {
  int stride_height = 1, stride_width = 1;
  int dilation_height = 1, dilation_width = 1;
  Padding padding = Padding::kSame;
};

struct Bconv2dOptions {
  Steps steps;
  bool pads_ones = false;  // if not, it pads with zeros, which are neither +1 nor -1
  int channels_in = 0;
  Activation activation = Activation::kNone;
};

struct Bmaxpool2dOptions {
  Steps steps;
  int filter_height = 0, filter_width = 0;
};

Reason Read(const void* bytes, size_t size, Bconv2dOptions* options);
Reason Read(const void* bytes, size_t size, Bmaxpool2dOptions* options);

}  // namespace larq_reactnet_runtime
