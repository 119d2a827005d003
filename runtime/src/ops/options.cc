// The options of LCE's operators: each must be there and have one of the values that LCE knows.
#include "ops/options.h"

#include <initializer_list>

#include "base/flexbuffer.h"

namespace larq_reactnet_runtime {
namespace {

// No image has more rows, columns or channels: what is computed of sizes fits into 64 bits.
constexpr int kMostPixels = 1 << 24;

struct Field {
  const char* name;
  int lowest, highest;
  int* value;
};

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
              {{"stride_height", 1, kMostPixels, &steps->stride_height},
               {"stride_width", 1, kMostPixels, &steps->stride_width},
               {"dilation_height_factor", 1, kMostPixels, &steps->dilation_height},
               {"dilation_width_factor", 1, kMostPixels, &steps->dilation_width},
               {"padding", 0, 1, &padding},
               {"pad_values", 0, 1, &pad_values},
               {"channels_in", 1, kMostPixels, &options->channels_in},
               {"fused_activation_function", 0, 3, &activation}});
  steps->padding = static_cast<Padding>(padding);
  options->pads_ones = pad_values == 1;
  options->activation = static_cast<Activation>(activation);
  return reason;
}

Reason Read(const void* bytes, size_t size, Bmaxpool2dOptions* options) {
  int padding = 0;
  Steps* steps = &options->steps;
  const Reason reason = ReadAll(bytes, size,
                                {{"filter_height", 1, kMostPixels, &options->filter_height},
                                 {"filter_width", 1, kMostPixels, &options->filter_width},
                                 {"stride_height", 1, kMostPixels, &steps->stride_height},
                                 {"stride_width", 1, kMostPixels, &steps->stride_width},
                                 {"padding", 0, 1, &padding}});
  steps->padding = static_cast<Padding>(padding);
  return reason;
}

}  // namespace larq_reactnet_runtime
