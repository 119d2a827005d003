// What run.c uses of LiteRT's C interface, as the headers litert/c/*.h of version 2.3 declare it.
// The wheel of LiteRT has its library, libLiteRt.so, and no headers: where you have them, include
// litert_compiled_model.h, litert_environment.h, litert_model.h, litert_options.h,
// litert_tensor_buffer.h and, in internal/, litert_accelerator_registration.h and
// litert_delegate_wrapper.h instead.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { kLiteRtStatusOk = 0 } LiteRtStatus;
enum { kLiteRtHwAcceleratorCpu = 1 };
typedef enum {
  kLiteRtTensorBufferLockModeRead = 0,
  kLiteRtTensorBufferLockModeWrite = 1
} LiteRtLock;
typedef struct {
  int major, minor, patch;
} LiteRtApiVersion;
typedef struct {
  int element_type;
  unsigned int rank : 7, has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
} LiteRtRankedTensorType;

typedef struct LiteRtAcceleratorT* LiteRtAccelerator;
typedef struct LiteRtCompiledModelT* LiteRtCompiledModel;
typedef struct LiteRtDelegateWrapperT* LiteRtDelegateWrapper;
typedef struct LiteRtEnvironmentT* LiteRtEnvironment;
typedef struct LiteRtModelT* LiteRtModel;
typedef struct LiteRtOptionsT* LiteRtOptions;
typedef struct LiteRtSignatureT* LiteRtSignature;
typedef struct LiteRtTensorT* LiteRtTensor;
typedef struct LiteRtTensorBufferT* LiteRtTensorBuffer;
typedef struct LiteRtTensorBufferRequirementsT* LiteRtTensorBufferRequirements;
struct LiteRtRuntimeContext;
typedef struct TfLiteDelegate TfLiteDelegate;

LiteRtStatus LiteRtCreateEnvironment(int count, const void* options, LiteRtEnvironment*);
void LiteRtDestroyEnvironment(LiteRtEnvironment);
LiteRtStatus LiteRtCreateOptions(LiteRtOptions*);
void LiteRtDestroyOptions(LiteRtOptions);
LiteRtStatus LiteRtSetOptionsHardwareAccelerators(LiteRtOptions, int hardware);

LiteRtStatus LiteRtCreateAccelerator(LiteRtAccelerator*);
LiteRtStatus LiteRtSetAcceleratorGetName(
    LiteRtAccelerator, LiteRtStatus (*)(const struct LiteRtAcceleratorT*, const char**));
LiteRtStatus LiteRtSetAcceleratorGetVersion(
    LiteRtAccelerator, LiteRtStatus (*)(const struct LiteRtAcceleratorT*, LiteRtApiVersion*));
LiteRtStatus LiteRtSetAcceleratorGetHardwareSupport(
    LiteRtAccelerator, LiteRtStatus (*)(const struct LiteRtAcceleratorT*, int*));
LiteRtStatus LiteRtSetIsAcceleratorDelegateResponsibleForJitCompilation(
    LiteRtAccelerator, LiteRtStatus (*)(const struct LiteRtAcceleratorT*, bool*));
LiteRtStatus LiteRtSetDelegateFunction(
    LiteRtAccelerator,
    LiteRtStatus (*)(struct LiteRtRuntimeContext*, LiteRtEnvironment,
                     const struct LiteRtAcceleratorT*, LiteRtOptions, LiteRtDelegateWrapper*));
LiteRtStatus LiteRtRegisterAccelerator(LiteRtEnvironment, LiteRtAccelerator, void* data,
                                       void (*release)(void*));
LiteRtStatus LiteRtWrapDelegate(TfLiteDelegate*, void (*destroy)(TfLiteDelegate*),
                                LiteRtDelegateWrapper*);

LiteRtStatus LiteRtCreateModelFromFile(LiteRtEnvironment, const char* path, LiteRtModel*);
void LiteRtDestroyModel(LiteRtModel);
LiteRtStatus LiteRtGetModelSignature(LiteRtModel, size_t index, LiteRtSignature*);
LiteRtStatus LiteRtGetSignatureInputTensorByIndex(LiteRtSignature, size_t index, LiteRtTensor*);
LiteRtStatus LiteRtGetSignatureOutputTensorByIndex(LiteRtSignature, size_t index, LiteRtTensor*);
LiteRtStatus LiteRtGetRankedTensorType(LiteRtTensor, LiteRtRankedTensorType*);

LiteRtStatus LiteRtCreateCompiledModel(LiteRtEnvironment, LiteRtModel, LiteRtOptions,
                                       LiteRtCompiledModel*);
void LiteRtDestroyCompiledModel(LiteRtCompiledModel);
LiteRtStatus LiteRtGetCompiledModelInputBufferRequirements(LiteRtCompiledModel, size_t signature,
                                                           size_t index,
                                                           LiteRtTensorBufferRequirements*);
LiteRtStatus LiteRtGetCompiledModelOutputBufferRequirements(LiteRtCompiledModel, size_t signature,
                                                            size_t index,
                                                            LiteRtTensorBufferRequirements*);
LiteRtStatus LiteRtRunCompiledModel(LiteRtCompiledModel, size_t signature, size_t inputs,
                                    LiteRtTensorBuffer*, size_t outputs, LiteRtTensorBuffer*);
LiteRtStatus LiteRtCreateManagedTensorBufferFromRequirements(LiteRtEnvironment,
                                                             const LiteRtRankedTensorType*,
                                                             LiteRtTensorBufferRequirements,
                                                             LiteRtTensorBuffer*);
LiteRtStatus LiteRtGetTensorBufferPackedSize(LiteRtTensorBuffer, size_t* bytes);
LiteRtStatus LiteRtLockTensorBuffer(LiteRtTensorBuffer, void** memory, LiteRtLock);
LiteRtStatus LiteRtUnlockTensorBuffer(LiteRtTensorBuffer);
void LiteRtDestroyTensorBuffer(LiteRtTensorBuffer);

// The library of larq-reactnet-runtime.
TfLiteDelegate* tflite_plugin_create_delegate(const char* const* keys, const char* const* values,
                                              size_t count, void (*report)(const char*));
void tflite_plugin_destroy_delegate(TfLiteDelegate*);

#ifdef __cplusplus
}
#endif
