// What this delegate uses of TensorFlow Lite's C interface, declared again, so that the library is
// built without TensorFlow Lite and is not linked with it.
//
// The interpreter is another library, of any version since 2.14. Newer versions append fields to
// structs and change nothing else. The assertions at the end hold the fields at the places where
// all of these versions have them on 64-bit systems; tests/abi/check.cc compares them with the real
// headers.
#pragma once

#include <cstddef>
#include <cstdint>

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
  void* reserved[4];  // passed by value: what a newer interpreter reads here has to be 0
};

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
                                                        TfLiteRegistration registration,
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

static_assert(sizeof(void*) == 8, "The offsets below are those of 64-bit systems.");
static_assert(offsetof(TfLiteIntArray, data) == 4);
static_assert(offsetof(TfLiteTensor, data) == 8);
static_assert(offsetof(TfLiteTensor, dims) == 16);
static_assert(offsetof(TfLiteTensor, params) == 24);
static_assert(offsetof(TfLiteTensor, allocation_type) == 32);
static_assert(offsetof(TfLiteTensor, bytes) == 40);
static_assert(offsetof(TfLiteTensor, name) == 56);
static_assert(offsetof(TfLiteTensor, is_variable) == 77);
static_assert(offsetof(TfLiteTensor, quantization) == 80);
static_assert(offsetof(TfLiteTensor, sparsity) == 96);
static_assert(sizeof(TfLiteTensor) == 112);
static_assert(offsetof(TfLiteNode, user_data) == 32);
static_assert(offsetof(TfLiteNode, builtin_data) == 40);
static_assert(offsetof(TfLiteNode, custom_initial_data) == 48);
static_assert(offsetof(TfLiteNode, custom_initial_data_size) == 56);
static_assert(offsetof(TfLiteRegistration, builtin_code) == 40);
static_assert(offsetof(TfLiteRegistration, custom_name) == 48);
static_assert(offsetof(TfLiteRegistration, inplace_operator) == 80);
static_assert(offsetof(TfLiteContext, tensors) == 16);
static_assert(offsetof(TfLiteContext, ResizeTensor) == 32);
static_assert(offsetof(TfLiteContext, GetNodeAndRegistration) == 56);
static_assert(offsetof(TfLiteContext, ReplaceNodeSubsetsWithDelegateKernels) == 64);
static_assert(offsetof(TfLiteContext, ResizeTensorExplicit) == 144);
static_assert(offsetof(TfLiteContext, PreviewDelegatePartitioning) == 152);
static_assert(offsetof(TfLiteDelegate, flags) == 40);
static_assert(sizeof(TfLiteDelegate) == 56);

}  // namespace larq_reactnet_runtime
