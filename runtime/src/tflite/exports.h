// All that the library exports: a C interface, which throws no exceptions.
//
// The first two functions are those of an external delegate: an interpreter loads the library and
// looks for them. exports.map repeats the names.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tflite/abi.h"

#if defined(_WIN32)
#define LARQ_REACTNET_EXPORT __declspec(dllexport)
#else
#define LARQ_REACTNET_EXPORT __attribute__((visibility("default")))
#endif

extern "C" {

// Makes a delegate. `keys` and `values` are the names of `count` options and what they are set to.
// If an option is wrong, the reason goes to `report_error`, which may be null, and the result is
// null.
LARQ_REACTNET_EXPORT larq_reactnet_runtime::TfLiteDelegate* tflite_plugin_create_delegate(
    const char* const* keys, const char* const* values, size_t count,
    void (*report_error)(const char*));

LARQ_REACTNET_EXPORT void tflite_plugin_destroy_delegate(
    larq_reactnet_runtime::TfLiteDelegate* delegate);

// The version of the library, such as "1.2.3".
LARQ_REACTNET_EXPORT const char* larq_reactnet_runtime_version();

// The instruction sets that the option `isa` takes on this processor, best first, with commas
// between them. The text stays where it is for as long as the library is loaded. Null if there is
// no memory.
LARQ_REACTNET_EXPORT const char* larq_reactnet_runtime_instruction_sets();

// For Java, whose `Delegate` gives its interpreter a pointer as a number. The first two arguments
// are Java's own, and not used. `create` returns 0 if there cannot be so many threads.
LARQ_REACTNET_EXPORT int64_t Java_larqreactnet_RuntimeDelegate_create(void*, void*,
                                                                      int32_t num_threads);

LARQ_REACTNET_EXPORT void Java_larqreactnet_RuntimeDelegate_destroy(void*, void*,
                                                                    int64_t delegate);

}  // extern "C"
