// What Java and Kotlin call: android/RuntimeDelegate.java declares both functions.
#include <exception>
#include <string>

#include "tflite/exports.h"

extern "C" {

int64_t Java_larqreactnet_RuntimeDelegate_create(void*, void*, int32_t num_threads) {
  try {
    const std::string threads = std::to_string(num_threads);
    const char* key = "num_threads";
    const char* value = threads.c_str();
    auto* delegate = tflite_plugin_create_delegate(&key, &value, 1, nullptr);
    return static_cast<int64_t>(reinterpret_cast<intptr_t>(delegate));
  } catch (const std::exception&) {
    return 0;
  }
}

void Java_larqreactnet_RuntimeDelegate_destroy(void*, void*, int64_t delegate) {
  tflite_plugin_destroy_delegate(reinterpret_cast<larq_reactnet_runtime::TfLiteDelegate*>(
      static_cast<intptr_t>(delegate)));
}

}  // extern "C"
