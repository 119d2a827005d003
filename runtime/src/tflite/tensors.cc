// Reads what the interpreter says of tensors.
#include "tflite/tensors.h"

namespace larq_reactnet_runtime {

Type TypeOf(const TfLiteTensor& tensor) {
  switch (tensor.type) {
    case kTfLiteFloat32:
      return Type::kFloat32;
    case kTfLiteInt8:
      return Type::kInt8;
    case kTfLiteInt32:
      return Type::kInt32;
  }
  return Type::kOther;
}

Shape ShapeOf(const TfLiteTensor& tensor) {
  if (tensor.dims == nullptr) return {};
  return Shape(tensor.dims->data, tensor.dims->data + tensor.dims->size);
}

bool IsTensor(const TfLiteContext& context, int index) {
  return index >= 0 && static_cast<size_t>(index) < context.tensors_size;
}

}  // namespace larq_reactnet_runtime
