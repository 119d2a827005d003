// Compares src/tflite/abi.h with the headers of TensorFlow Lite or LiteRT. There is nothing to run:
// where they differ, this file cannot be compiled. See test_abi.py.
//
// Three things may differ. Structs that the interpreter makes may be longer there than here,
// because the library does not need their last fields. A registration, which the library makes, may
// be longer here than there. And instead of a pointer to something that it never uses, the library
// has `void*`.
#include <cstddef>
#include <type_traits>

#include "tflite/abi.h"

// A macro of this name follows.
constexpr int kOptionalTensor = larq_reactnet_runtime::kTfLiteOptionalTensor;

#if __has_include("tflite/core/c/common.h")
#include "tflite/builtin_ops.h"
#include "tflite/core/c/builtin_op_data.h"
#include "tflite/core/c/common.h"
#else
#include "tensorflow/lite/builtin_ops.h"
#include "tensorflow/lite/core/c/builtin_op_data.h"
#include "tensorflow/lite/core/c/common.h"
#endif

namespace ours = larq_reactnet_runtime;

// Whether what is written as one type can be read as the other. Structs are compared further below.
template <class Ours, class Real>
struct IsSame
    : std::bool_constant<(std::is_class_v<Ours> && std::is_class_v<Real>) ||
                         (sizeof(Ours) == sizeof(Real) &&
                          std::is_pointer_v<Ours> >= std::is_pointer_v<Real> &&
                          std::is_floating_point_v<Ours> == std::is_floating_point_v<Real>)> {};

template <>
struct IsSame<void, void> : std::true_type {};

template <class Ours, class Real>
struct IsSame<Ours*, Real*>
    : std::bool_constant<std::is_void_v<Ours> ||
                         (!std::is_function_v<Ours> && !std::is_function_v<Real>)> {};

// Functions: their results, and their parameters one by one.
template <class... Ours>
struct Parameters {
  template <class... Real>
  static constexpr bool AreSame() {
    if constexpr (sizeof...(Ours) == sizeof...(Real)) {
      return (IsSame<Ours, Real>::value && ...);
    } else {
      return false;
    }
  }
};

template <class Ours, class... OurParameters, class Real, class... RealParameters>
struct IsSame<Ours (*)(OurParameters...), Real (*)(RealParameters...)>
    : std::bool_constant<IsSame<Ours, Real>::value &&
                         Parameters<OurParameters...>::template AreSame<RealParameters...>()> {};

template <class Ours, class... OurParameters, class Real, class... RealParameters>
struct IsSame<Ours (*)(OurParameters..., ...), Real (*)(RealParameters..., ...)>
    : IsSame<Ours (*)(OurParameters...), Real (*)(RealParameters...)> {};

// A field is at the same place, and what is there can be read and written as ours.
#define CHECK_FIELD(type, ours_name, real_name)                                                  \
  static_assert(offsetof(ours::type, ours_name) == offsetof(::type, real_name) &&                \
                    IsSame<decltype(ours::type::ours_name), decltype(::type::real_name)>::value, \
                #type "::" #real_name " is another one in the headers")
#define CHECK(type, name) CHECK_FIELD(type, name, name)
#define CHECK_VALUE(name)                                                   \
  static_assert(static_cast<long>(ours::name) == static_cast<long>(::name), \
                #name " is another number in the headers")

CHECK_VALUE(kTfLiteOk);
CHECK_VALUE(kTfLiteError);
CHECK_VALUE(kTfLiteDelegateError);
CHECK_VALUE(kTfLiteFloat32);
CHECK_VALUE(kTfLiteInt32);
CHECK_VALUE(kTfLiteInt8);
CHECK_VALUE(kTfLiteMmapRo);
CHECK_VALUE(kTfLiteNoQuantization);
CHECK_VALUE(kTfLiteAffineQuantization);
CHECK_VALUE(kTfLiteActNone);
CHECK_VALUE(kTfLiteBuiltinAdd);
CHECK_VALUE(kTfLiteBuiltinConcatenation);
CHECK_VALUE(kTfLiteBuiltinPrelu);
CHECK_VALUE(kTfLiteDelegateFlagsAllowDynamicTensors);
static_assert(kOptionalTensor == kTfLiteOptionalTensor);

static_assert(offsetof(ours::TfLiteIntArray, size) == offsetof(::TfLiteIntArray, size));
static_assert(offsetof(ours::TfLiteIntArray, data) == offsetof(::TfLiteIntArray, data));
static_assert(
    std::is_same_v<decltype(&ours::TfLiteIntArray::data[0]), decltype(&::TfLiteIntArray::data[0])>);

CHECK(TfLiteAddParams, activation);
CHECK(TfLiteConcatenationParams, axis);
CHECK(TfLiteConcatenationParams, activation);

CHECK(TfLiteQuantizationParams, scale);
CHECK(TfLiteQuantizationParams, zero_point);
CHECK(TfLiteQuantization, type);
CHECK(TfLiteQuantization, params);

CHECK(TfLiteTensor, type);
CHECK(TfLiteTensor, data);
CHECK(TfLiteTensor, dims);
CHECK(TfLiteTensor, params);
CHECK(TfLiteTensor, allocation_type);
CHECK(TfLiteTensor, bytes);
CHECK(TfLiteTensor, allocation);
CHECK(TfLiteTensor, name);
CHECK(TfLiteTensor, delegate);
CHECK(TfLiteTensor, buffer_handle);
CHECK(TfLiteTensor, data_is_stale);
CHECK(TfLiteTensor, is_variable);
CHECK(TfLiteTensor, quantization);
CHECK(TfLiteTensor, sparsity);
CHECK(TfLiteTensor, dims_signature);
static_assert(sizeof(ours::TfLiteTensor) == sizeof(::TfLiteTensor), "Tensors are in an array.");

CHECK(TfLiteNode, inputs);
CHECK(TfLiteNode, outputs);
CHECK(TfLiteNode, intermediates);
CHECK(TfLiteNode, temporaries);
CHECK(TfLiteNode, user_data);
CHECK(TfLiteNode, builtin_data);
CHECK(TfLiteNode, custom_initial_data);
CHECK(TfLiteNode, custom_initial_data_size);
CHECK(TfLiteNode, delegate);

CHECK(TfLiteDelegateParams, delegate);
CHECK(TfLiteDelegateParams, nodes_to_replace);
CHECK(TfLiteDelegateParams, input_tensors);
CHECK(TfLiteDelegateParams, output_tensors);
static_assert(sizeof(ours::TfLiteDelegateParams) == sizeof(::TfLiteDelegateParams),
              "PreviewDelegatePartitioning gives an array of them.");

CHECK(TfLiteRegistration, init);
CHECK(TfLiteRegistration, free);
CHECK(TfLiteRegistration, prepare);
CHECK(TfLiteRegistration, invoke);
CHECK(TfLiteRegistration, profiling_string);
CHECK(TfLiteRegistration, builtin_code);
CHECK(TfLiteRegistration, custom_name);
CHECK(TfLiteRegistration, version);
CHECK(TfLiteRegistration, registration_external);
CHECK(TfLiteRegistration, async_kernel);
CHECK(TfLiteRegistration, inplace_operator);
static_assert(sizeof(void*) == 8
                  ? sizeof(ours::TfLitePassedRegistration) >= sizeof(::TfLiteRegistration)
                  : sizeof(ours::TfLitePassedRegistration) == sizeof(::TfLiteRegistration),
              "The interpreter copies all of one that the library makes.");

CHECK(TfLiteContext, tensors_size);
CHECK(TfLiteContext, GetExecutionPlan);
CHECK(TfLiteContext, tensors);
CHECK_FIELD(TfLiteContext, impl, impl_);
CHECK(TfLiteContext, ResizeTensor);
CHECK(TfLiteContext, ReportError);
CHECK(TfLiteContext, AddTensors);
CHECK(TfLiteContext, GetNodeAndRegistration);
CHECK(TfLiteContext, ReplaceNodeSubsetsWithDelegateKernels);
CHECK(TfLiteContext, recommended_num_threads);
CHECK(TfLiteContext, ResizeTensorExplicit);
CHECK(TfLiteContext, PreviewDelegatePartitioning);
static_assert(sizeof(ours::TfLiteContext) <= sizeof(::TfLiteContext));

CHECK_FIELD(TfLiteDelegate, data, data_);
CHECK(TfLiteDelegate, Prepare);
CHECK_FIELD(TfLiteDelegate, copy_from_buffer_handle, CopyFromBufferHandle);
CHECK_FIELD(TfLiteDelegate, copy_to_buffer_handle, CopyToBufferHandle);
CHECK_FIELD(TfLiteDelegate, free_buffer_handle, FreeBufferHandle);
CHECK(TfLiteDelegate, flags);
CHECK(TfLiteDelegate, opaque_delegate_builder);
static_assert(sizeof(ours::TfLiteDelegate) >= sizeof(::TfLiteDelegate),
              "The interpreter reads all of one that the library makes.");
