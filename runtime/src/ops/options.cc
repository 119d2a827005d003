// The options of LCE's operators: each must be there and have one of the values that LCE knows.
#include "ops/options.h"

#include <initializer_list>

#include "base/flexbuffer.h"

namespace larq_reactnet_runtime {
namespace {

// Larger sizes are refused, so that whatever is computed from them fits into 64 bits.
constexpr int kMostPixels = 1 << 24;

constexpr int kPadsOnes = 1;  // of the option pad_values; 0 is to pad with zeros

struct Field {
  const char* name = nullptr;
  int lowest = 0, highest = 0;
  int* value = nullptr;
};

Field Size(const char* name, int* value) {
  Field field;
  field.name = name;
  field.lowest = 1;
  field.highest = kMostPixels;
  field.value = value;
  return field;
}

// An option that is one of some numbered choices, of which `last` is the last.
template <class Choices>
Field Choice(const char* name, Choices last, int* value) {
  Field field;
  field.name = name;
  field.highest = static_cast<int>(last);
  field.value = value;
  return field;
}

Reason ReadAll(const void* bytes, size_t size, std::initializer_list<Field> fields) {
  const FlexbufferMap map(bytes, size);
  for (const Field& field : fields) {
    const auto value = map.Integer(field.name);
    const std::string name = std::string("its option ") + field.name;
    if (!value) return name + " is missing";
    if (*value < field.lowest || *value > field.highest) {
      return name + " is " + std::to_string(*value);
    }
    *field.value = static_cast<int>(*value);
  }
  return {};
}

}  // namespace

Reason Read(const void* bytes, size_t size, Bconv2dOptions* options) {
  int padding = 0, pad_values = 0, activation = 0;
  Steps* steps = &options->steps;
  const Reason reason =
      ReadAll(bytes, size,
              {
                  Size("stride_height", &steps->stride_height),
                  Size("stride_width", &steps->stride_width),
                  Size("dilation_height_factor", &steps->dilation_height),
                  Size("dilation_width_factor", &steps->dilation_width),
                  Choice("padding", Padding::kValid, &padding),
                  Choice("pad_values", kPadsOnes, &pad_values),
                  Size("channels_in", &options->channels_in),
                  Choice("fused_activation_function", Activation::kRelu6, &activation),
              });
  steps->padding = static_cast<Padding>(padding);
  options->pads_ones = pad_values == kPadsOnes;
  options->activation = static_cast<Activation>(activation);
  return reason;
}

Reason Read(const void* bytes, size_t size, Bmaxpool2dOptions* options) {
  int padding = 0;
  Steps* steps = &options->steps;
  const Reason reason = ReadAll(bytes, size,
                                {
                                    Size("filter_height", &options->filter_height),
                                    Size("filter_width", &options->filter_width),
                                    Size("stride_height", &steps->stride_height),
                                    Size("stride_width", &steps->stride_width),
                                    Choice("padding", Padding::kValid, &padding),
                                });
  steps->padding = static_cast<Padding>(padding);
  return reason;
}

}  // namespace larq_reactnet_runtime
