// Computes sizes: the words that channels take, the elements of a tensor, and the output of a
// window that moves over an image.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/tensor.h"

namespace larq_reactnet_runtime {

inline constexpr int kBitsPerWord = 32;
// As many as TensorFlow Lite can count, and as fit into memory: they take up to four bytes each.
inline constexpr int64_t kMostElements = std::min<int64_t>(INT32_MAX, PTRDIFF_MAX / 4);

inline int WordsOf(int channels) {
  return static_cast<int>((int64_t{channels} + kBitsPerWord - 1) / kBitsPerWord);
}

// The number of elements, or -1 if there are none, or more than kMostElements.
inline int64_t Elements(const Shape& shape) {
  int64_t elements = 1;
  for (const int size : shape) {
    if (size < 1 || size > kMostElements / elements) return -1;
    elements *= size;
  }
  return elements;
}

inline std::string Text(const Shape& shape) {
  std::string text;
  for (const int size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "a scalar" : text;
}

// Whether a window may reach over the border of an image. The numbers are those in the file.
enum class Padding { kSame = 0, kValid = 1 };

// One axis of an image, its rows or its columns, and of the window that moves along it.
struct Axis {
  int input = 0, window = 0, stride = 1, dilation = 1;
  int output = 0;  // positions of the window; not positive if it does not fit
  int before = 0;  // padding in front of the image

  Axis() = default;
  Axis(int input_size, int window_size, int step, int spread, Padding padding)
      : input(input_size), window(window_size), stride(step), dilation(spread) {
    const int64_t span = (int64_t{window} - 1) * dilation + 1;
    const int64_t free = padding == Padding::kSame ? int64_t{input} - 1 : input - span;
    output = free < 0 ? 0 : static_cast<int>(free / stride + 1);
    const int64_t padded = (int64_t{output} - 1) * stride + span - input;
    before = static_cast<int>(std::clamp<int64_t>(padded / 2, 0, INT32_MAX));
  }

  // Where in the input the first element of the window is, possibly outside.
  int64_t Start(int position) const { return int64_t{position} * stride - before; }

  // The elements of the window that lie on the input: from First, up to but not including Last.
  int First(int position) const { return Clamped(-Start(position)); }
  int Last(int position) const {
    return std::max(First(position), Clamped(input - Start(position)));
  }

 private:
  int Clamped(int64_t distance) const {
    if (distance <= 0) return 0;
    return static_cast<int>(std::min<int64_t>(window, (distance + dilation - 1) / dilation));
  }
};

}  // namespace larq_reactnet_runtime
