// What this delegate uses of TensorFlow Lite's C interface, declared again, so that the library is
// built without TensorFlow Lite and is not linked with it.
//
// The interpreter is another library, of any version since 2.14. Newer versions append fields to
// structs and change nothing else. The assertions at the end hold the fields at the places where
// all of these versions have them, on 64-bit systems and on 32-bit ARM; tests/abi/check.cc compares
// them with the real headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace larq_reactnet_runtime {

extern "C" {

enum TfLiteStatus : int { kTfLiteOk = 0, kTfLiteError = 1, kTfLiteDelegateError = 2 };

enum TfLiteType : int { kTfLiteFloat32 = 1, kTfLiteInt32 = 2, kTfLiteInt8 = 9 };

enum TfLiteAllocationType : int { kTfLiteMmapRo = 1 };

enum TfLiteQuantizationType : int { kTfLiteNoQuantization = 0, kTfLiteAffineQuantization = 1 };

enum TfLiteFusedActivation : int { kTfLiteActNone = 0 };

inline constexpr int kTfLiteBuiltinAdd = 0;
inline constexpr int kTfLiteBuiltinConcatenation = 2;
inline constexpr int kTfLiteBuiltinPrelu = 54;

inline constexpr int kTfLiteOptionalTensor = -1;
inline constexpr int64_t kTfLiteDelegateFlagsAllowDynamicTensors = 1;

struct TfLiteIntArray {
  int size;
  int data[1];  // the first of `size` numbers
};

// Parameters of the operators ADD and CONCATENATION.
struct TfLiteAddParams {
  TfLiteFusedActivation activation;
  // More follows, which is not needed here.
};

struct TfLiteConcatenationParams {
  int axis;
  TfLiteFusedActivation activation;
  // More follows, which is not needed here.
};

struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};

struct TfLiteQuantization {
  TfLiteQuantizationType type;
  void* params;
};

struct TfLiteDelegate;
struct TfLiteContext;

struct TfLiteTensor {
  TfLiteType type;
  void* data;
  TfLiteIntArray* dims;
  TfLiteQuantizationParams params;
  TfLiteAllocationType allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  TfLiteDelegate* delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  TfLiteQuantization quantization;
  void* sparsity;
  const TfLiteIntArray* dims_signature;
};

struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  TfLiteIntArray* temporaries;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
  TfLiteDelegate* delegate;
};

struct TfLiteDelegateParams {
  TfLiteDelegate* delegate;
  TfLiteIntArray* nodes_to_replace;
  TfLiteIntArray* input_tensors;
  TfLiteIntArray* output_tensors;
};

struct TfLiteRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  const char* (*profiling_string)(const TfLiteContext* context, const TfLiteNode* node);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* registration_external;
  void* async_kernel;
  uint64_t inplace_operator;
};

// It is passed by value. On 64-bit systems the other arguments stay where they are, whatever its
// size, so it is longer than today's: what a newer interpreter reads there has to be 0. On 32-bit
// ARM the arguments behind it follow it on the stack, so its size has to be the interpreter's.
struct TfLiteLongerRegistration : TfLiteRegistration {
  void* reserved[4] = {};
};
using TfLitePassedRegistration =
    std::conditional_t<sizeof(void*) == 8, TfLiteLongerRegistration, TfLiteRegistration>;

struct TfLiteContext {
  size_t tensors_size;
  TfLiteStatus (*GetExecutionPlan)(TfLiteContext* context, TfLiteIntArray** execution_plan);
  TfLiteTensor* tensors;
  void* impl;
  TfLiteStatus (*ResizeTensor)(TfLiteContext* context, TfLiteTensor* tensor, TfLiteIntArray* size);
  void (*ReportError)(TfLiteContext* context, const char* message, ...);
  TfLiteStatus (*AddTensors)(TfLiteContext* context, int count, int* first);
  TfLiteStatus (*GetNodeAndRegistration)(TfLiteContext* context, int index, TfLiteNode** node,
                                         TfLiteRegistration** registration);
  TfLiteStatus (*ReplaceNodeSubsetsWithDelegateKernels)(TfLiteContext* context,
                                                        TfLitePassedRegistration registration,
                                                        const TfLiteIntArray* nodes,
                                                        TfLiteDelegate* delegate);
  int recommended_num_threads;
  void* unused[8];  // functions and a flag that are not needed here
  void* ResizeTensorExplicit;
  TfLiteStatus (*PreviewDelegatePartitioning)(TfLiteContext* context, const TfLiteIntArray* nodes,
                                              TfLiteDelegateParams** partitions, int* count);
  // More follows, which is not needed here either.
};

struct TfLiteDelegate {
  void* data;
  TfLiteStatus (*Prepare)(TfLiteContext* context, TfLiteDelegate* delegate);
  void* copy_from_buffer_handle;
  void* copy_to_buffer_handle;
  void* free_buffer_handle;
  int64_t flags;
  void* opaque_delegate_builder;
};

}  // extern "C"

// Where a field is on 64-bit systems, and where on 32-bit ARM, which aligns 64-bit integers to 8.
constexpr size_t At(size_t on_64_bits, size_t on_32_bits) {
  return sizeof(void*) == 8 ? on_64_bits : on_32_bits;
}

static_assert(sizeof(void*) == 8 || (sizeof(void*) == 4 && alignof(uint64_t) == 8));
static_assert(offsetof(TfLiteIntArray, data) == 4);
static_assert(offsetof(TfLiteTensor, data) == At(8, 4));
static_assert(offsetof(TfLiteTensor, dims) == At(16, 8));
static_assert(offsetof(TfLiteTensor, params) == At(24, 12));
static_assert(offsetof(TfLiteTensor, allocation_type) == At(32, 20));
static_assert(offsetof(TfLiteTensor, bytes) == At(40, 24));
static_assert(offsetof(TfLiteTensor, name) == At(56, 32));
static_assert(offsetof(TfLiteTensor, is_variable) == At(77, 45));
static_assert(offsetof(TfLiteTensor, quantization) == At(80, 48));
static_assert(offsetof(TfLiteTensor, sparsity) == At(96, 56));
static_assert(sizeof(TfLiteTensor) == At(112, 64));
static_assert(offsetof(TfLiteNode, user_data) == At(32, 16));
static_assert(offsetof(TfLiteNode, builtin_data) == At(40, 20));
static_assert(offsetof(TfLiteNode, custom_initial_data) == At(48, 24));
static_assert(offsetof(TfLiteNode, custom_initial_data_size) == At(56, 28));
static_assert(offsetof(TfLiteNode, delegate) == At(64, 32));
static_assert(offsetof(TfLiteRegistration, builtin_code) == At(40, 20));
static_assert(offsetof(TfLiteRegistration, custom_name) == At(48, 24));
static_assert(offsetof(TfLiteRegistration, inplace_operator) == At(80, 40));
static_assert(offsetof(TfLiteContext, tensors) == At(16, 8));
static_assert(offsetof(TfLiteContext, ResizeTensor) == At(32, 16));
static_assert(offsetof(TfLiteContext, GetNodeAndRegistration) == At(56, 28));
static_assert(offsetof(TfLiteContext, ReplaceNodeSubsetsWithDelegateKernels) == At(64, 32));
static_assert(offsetof(TfLiteContext, ResizeTensorExplicit) == At(144, 72));
static_assert(offsetof(TfLiteContext, PreviewDelegatePartitioning) == At(152, 76));
static_assert(offsetof(TfLiteDelegate, flags) == At(40, 24));
static_assert(sizeof(TfLiteDelegate) == At(56, 40));
static_assert(sizeof(TfLiteRegistration) == At(88, 48));

}  // namespace larq_reactnet_runtime
