// The interpreter's tensors and arrays in terms of our own.
#pragma once

#include <vector>

#include "base/tensor.h"
#include "tflite/abi.h"

namespace larq_reactnet_runtime {

Type TypeOf(const TfLiteTensor& tensor);

// Of a tensor without a shape it is empty, as of a scalar.
Shape ShapeOf(const TfLiteTensor& tensor);

// Is this the index of a tensor?
bool IsTensor(const TfLiteContext& context, int index);

// Numbers in the form in which the interpreter takes them: how many they are, and then they follow.
class IntArray {
 public:
  template <class Iterator>
  IntArray(Iterator begin, Iterator end) : numbers_(begin, end) {
    numbers_.insert(numbers_.begin(), static_cast<int>(numbers_.size()));
  }

  const TfLiteIntArray* get() const {
    return reinterpret_cast<const TfLiteIntArray*>(numbers_.data());
  }

 private:
  std::vector<int> numbers_;
};

}  // namespace larq_reactnet_runtime
