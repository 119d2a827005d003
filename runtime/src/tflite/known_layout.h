// Whether the interpreter's structs are laid out as abi.h has them, as far as can be told without
// trusting them. Newer interpreters may append fields. One that puts a field between others, or
// makes a tensor larger, would be read wrongly: it must be refused instead.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/shape.h"
#include "tflite/abi.h"
#include "tflite/tensors.h"

namespace larq_reactnet_runtime {

// Whether something is at an address that a struct of the interpreter gives: numbers and flags, of
// which a shifted struct would make addresses, are below all addresses.
inline bool IsAddress(const void* pointer, uintptr_t alignment) {
  constexpr uintptr_t kLowest = 1 << 16;
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  return address >= kLowest && address % alignment == 0;
}

inline bool IsAddressOrNull(const void* pointer, uintptr_t alignment) {
  return pointer == nullptr || IsAddress(pointer, alignment);
}

// Its functions are those of one library, so that they lie close together.
inline bool HasKnownFunctions(const TfLiteContext& context) {
  const auto first = reinterpret_cast<uintptr_t>(context.GetExecutionPlan);
  const auto is_near = [first](auto* function) {
    constexpr uintptr_t kLargest = uintptr_t{1} << 31;  // of a library
    const auto other = reinterpret_cast<uintptr_t>(function);
    return IsAddress(reinterpret_cast<const void*>(other), 1) &&
           (first > other ? first - other : other - first) < kLargest;
  };
  return is_near(context.GetExecutionPlan) && is_near(context.ReportError) &&
         is_near(context.ResizeTensor) && is_near(context.GetNodeAndRegistration) &&
         is_near(context.ReplaceNodeSubsetsWithDelegateKernels) &&
         (context.PreviewDelegatePartitioning == nullptr ||
          is_near(context.PreviewDelegatePartitioning));
}

// Its numbers are in the range of what they mean. No pointer is followed.
inline bool HasKnownFields(const TfLiteTensor& tensor) {
  constexpr int kMostTypes = 64, kMostAllocations = 16, kMostQuantizations = 8;
  const auto is_below = [](int number, int most) { return number >= 0 && number < most; };
  const auto is_flag = [](const bool& flag) {
    unsigned char byte = 0;
    std::memcpy(&byte, &flag, 1);
    return byte <= 1;
  };
  return is_below(tensor.type, kMostTypes) &&
         is_below(tensor.allocation_type, kMostAllocations) &&
         is_below(tensor.quantization.type, kMostQuantizations) && is_flag(tensor.data_is_stale) &&
         is_flag(tensor.is_variable) && tensor.buffer_handle >= -1 &&
         IsAddressOrNull(tensor.dims, alignof(int)) && IsAddressOrNull(tensor.data, 1) &&
         IsAddressOrNull(tensor.name, 1) && IsAddressOrNull(tensor.delegate, alignof(void*)) &&
         IsAddressOrNull(tensor.sparsity, alignof(void*)) &&
         IsAddressOrNull(tensor.quantization.params, alignof(void*));
}

// Whether the constants have as many bytes as their shapes say. In a damaged file, few have not.
inline bool HasKnownConstants(const TfLiteContext& context) {
  constexpr int kMostDimensions = 32;
  size_t right = 0, wrong = 0;
  for (size_t i = 0; i < context.tensors_size; ++i) {
    const TfLiteTensor& tensor = context.tensors[i];
    if (tensor.allocation_type != kTfLiteMmapRo || tensor.sparsity != nullptr) continue;
    if (TypeOf(tensor) == Type::kOther || tensor.dims == nullptr) continue;
    const int rank = tensor.dims->size;
    if (rank < 0 || rank > kMostDimensions) return false;
    const int64_t elements = Elements(ShapeOf(tensor));
    const int64_t bytes = TypeOf(tensor) == Type::kInt8 ? elements : 4 * elements;
    const bool is_right = elements >= 0 && static_cast<uint64_t>(bytes) == tensor.bytes;
    ++(is_right ? right : wrong);
  }
  return wrong <= right;
}

// A custom operator has a name and one of these codes, and all others have no name.
inline bool HasKnownFields(const TfLiteRegistration& registration) {
  constexpr int32_t kCustom = 32, kDelegate = 51, kPlaceholder = 53, kMostCodes = 4096;
  const int32_t code = registration.builtin_code;
  if (registration.custom_name == nullptr) return code >= 0 && code < kMostCodes;
  return (code == kCustom || code == kDelegate || code == kPlaceholder) &&
         IsAddress(registration.custom_name, 1);
}

// Half of a shifted address can pass for the size of the options, so that their size alone does not
// tell: what is in front of it and behind it is looked at as well.
inline bool HasKnownFields(const TfLiteNode& node) {
  constexpr int kMostBytes = 1 << 24;  // of the options in a file
  const int size = node.custom_initial_data_size;
  return IsAddress(node.inputs, alignof(int)) && IsAddress(node.outputs, alignof(int)) &&
         IsAddressOrNull(node.custom_initial_data, 1) && size >= 0 && size < kMostBytes &&
         (size == 0 || node.custom_initial_data != nullptr) &&
         IsAddressOrNull(node.delegate, alignof(void*));
}

inline bool HasKnownNodes(TfLiteContext* context) {
  TfLiteIntArray* plan = nullptr;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk || plan == nullptr) return false;
  for (int i = 0; i < plan->size; ++i) {
    TfLiteNode* node = nullptr;
    TfLiteRegistration* registration = nullptr;
    if (context->GetNodeAndRegistration(context, plan->data[i], &node, &registration) !=
        kTfLiteOk) {
      continue;
    }
    if (!IsAddress(node, alignof(void*)) || !IsAddress(registration, alignof(void*)) ||
        !HasKnownFields(*registration) || !HasKnownFields(*node)) {
      return false;
    }
  }
  return true;
}

inline bool HasKnownTensors(const TfLiteContext& context) {
  constexpr size_t kMostTensors = size_t{1} << 24;
  if (context.tensors_size == 0) return true;
  if (context.tensors_size > kMostTensors || !IsAddress(context.tensors, alignof(void*))) {
    return false;
  }
  for (size_t i = 0; i < context.tensors_size; ++i) {
    if (!HasKnownFields(context.tensors[i])) return false;
  }
  return HasKnownConstants(context);
}

}  // namespace larq_reactnet_runtime
