// From nodes of the graph to a list of our own operators, and what is needed to run them.
#include "partition.h"

#include <algorithm>
#include <cstdlib>

#include "bconv2d.h"
#include "bmaxpool2d.h"
#include "options.h"
#include "quantize.h"
#include "shape.h"

namespace larq_reactnet_runtime {
namespace {

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

size_t BytesOf(Type type, const Shape& shape) {
  return static_cast<size_t>(Elements(shape)) * (type == Type::kInt8 ? 1 : 4);
}

Shape ShapeOf(const TfLiteTensor& tensor) {
  if (tensor.dims == nullptr) return {};
  return Shape(tensor.dims->data, tensor.dims->data + tensor.dims->size);
}

bool IsTensor(const TfLiteContext& context, int index) {
  return index >= 0 && static_cast<size_t>(index) < context.tensors_size;
}

// What operators know of a tensor; nothing of one that is not given.
Tensor Describe(const TfLiteContext& context, int index) {
  Tensor described;
  if (!IsTensor(context, index)) return described;
  const TfLiteTensor& tensor = context.tensors[index];
  described.type = TypeOf(tensor);
  described.shape = ShapeOf(tensor);
  described.scale = tensor.params.scale;
  described.zero_point = tensor.params.zero_point;
  described.is_quantized = tensor.quantization.type == kTfLiteAffineQuantization;
  described.bytes = tensor.bytes;
  // A file may have less data than its shapes need.
  if (tensor.allocation_type == kTfLiteMmapRo && tensor.data != nullptr &&
      tensor.sparsity == nullptr && described.type != Type::kOther &&
      Elements(described.shape) > 0 && tensor.bytes >= BytesOf(described.type, described.shape)) {
    described.constant = tensor.data;
  }
  return described;
}

Reason MakeOp(const TfLiteContext& context, const TfLiteNode& node, std::string_view name,
              const Kernel& kernel, std::unique_ptr<Op>* op) {
  const int* inputs = node.inputs->data;
  const Tensor input = Describe(context, inputs[0]);
  const Tensor output = Describe(context, node.outputs->data[0]);
  if (name == "LceQuantize") return MakeQuantize(input, output, kernel, op);
  if (name == "LceDequantize") return MakeDequantize(input, output, op);
  const size_t size = static_cast<size_t>(std::max(0, node.custom_initial_data_size));
  if (name == "LceBMaxPool2d") {
    Bmaxpool2dOptions options;
    const Reason reason = Read(node.custom_initial_data, size, &options);
    return reason.empty() ? MakeBmaxpool2d(input, output, options, op) : reason;
  }
  Bconv2dOptions options;
  const Reason reason = Read(node.custom_initial_data, size, &options);
  if (!reason.empty()) return reason;
  const Bconv2dConstants constants{Describe(context, inputs[1]), Describe(context, inputs[2]),
                                   Describe(context, inputs[3]), Describe(context, inputs[4])};
  return MakeBconv2d(input, output, constants, options, kernel, op);
}

Reason SetShape(TfLiteContext* context, int index, const Shape& shape) {
  TfLiteTensor* tensor = &context->tensors[index];
  // The interpreter frees the array with `free`.
  auto* sizes = static_cast<TfLiteIntArray*>(
      std::malloc(sizeof(TfLiteIntArray) + shape.size() * sizeof(int)));
  if (sizes == nullptr) return "there is not enough memory";
  sizes->size = static_cast<int>(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) sizes->data[i] = shape[i];
  if (context->ResizeTensor(context, tensor, sizes) == kTfLiteOk) return {};
  return "the interpreter cannot make its output of the shape " + Text(shape);
}

}  // namespace

bool IsOurs(std::string_view name) {
  return name == "LceQuantize" || name == "LceDequantize" || name == "LceBconv2d" ||
         name == "LceBMaxPool2d";
}

Reason MakeStep(const TfLiteContext& context, const TfLiteNode& node, std::string_view name,
                const Kernel& kernel, Step* step) {
  const int inputs = name == "LceBconv2d" ? 5 : 1;
  if (node.inputs == nullptr || node.outputs == nullptr || node.inputs->size != inputs ||
      node.outputs->size != 1) {
    return "it has not " + std::to_string(inputs) + " inputs and one output";
  }
  step->input = node.inputs->data[0];
  step->output = node.outputs->data[0];
  if (!IsTensor(context, step->input) || !IsTensor(context, step->output) ||
      step->input == step->output) {
    return "its input or output is no tensor";
  }
  if (context.tensors[step->output].allocation_type == kTfLiteMmapRo) {
    return "its output is a constant";
  }
  const Reason reason = MakeOp(context, node, name, kernel, &step->op);
  if (!reason.empty()) return reason;
  Shape output;
  return step->op->Infer(ShapeOf(context.tensors[step->input]), &output);
}

Reason Partition::Init(TfLiteContext* context, const TfLiteDelegateParams& params,
                       const Kernel& kernel) {
  for (int i = 0; i < params.nodes_to_replace->size; ++i) {
    TfLiteNode* node = nullptr;
    TfLiteRegistration* registration = nullptr;
    if (context->GetNodeAndRegistration(context, params.nodes_to_replace->data[i], &node,
                                        &registration) != kTfLiteOk) {
      return "the interpreter does not give a node that it wants to be run";
    }
    Step step;
    const Reason reason = MakeStep(*context, *node, registration->custom_name, kernel, &step);
    if (!reason.empty()) return std::string(registration->custom_name) + ": " + reason;
    places_[step.input];
    places_[step.output].is_inside = true;
    steps_.push_back(std::move(step));
  }
  for (int i = 0; i < params.output_tensors->size; ++i) {
    places_[params.output_tensors->data[i]].is_inside = false;
  }
  return {};
}

Reason Partition::Prepare(TfLiteContext* context, int threads) {
  for (auto& [tensor, place] : places_) place.shape.clear();
  for (const Step& step : steps_) {
    Place* input = &places_[step.input];
    Place* output = &places_[step.output];
    if (input->shape.empty() && !input->is_inside) {
      const TfLiteTensor& tensor = context->tensors[step.input];
      input->shape = ShapeOf(tensor);
      input->bytes = Elements(input->shape) < 0 ? 0 : BytesOf(TypeOf(tensor), input->shape);
    }
    Reason reason = step.op->Infer(input->shape, &output->shape);
    if (!reason.empty()) return reason;
    step.op->Prepare(input->shape, threads);
    output->bytes = BytesOf(step.op->output_type(), output->shape);
    if (output->is_inside) {
      output->memory.Resize(output->bytes);
    } else {
      reason = SetShape(context, step.output, output->shape);
      if (!reason.empty()) return reason;
    }
  }
  return {};
}

Reason Partition::Run(TfLiteContext* context, Threads* threads) const {
  for (const Step& step : steps_) {
    void *input = nullptr, *output = nullptr;
    Reason reason = Find(*context, step.input, &input);
    if (reason.empty()) reason = Find(*context, step.output, &output);
    if (!reason.empty()) return reason;
    step.op->Run(input, output, threads);
  }
  return {};
}

Reason Partition::Find(const TfLiteContext& context, int index, void** values) const {
  const Place& place = places_.at(index);
  if (place.is_inside) {
    *values = const_cast<unsigned char*>(place.memory.data());
    return {};
  }
  const TfLiteTensor& tensor = context.tensors[index];
  *values = tensor.data;
  if (tensor.data == nullptr || tensor.bytes < place.bytes || ShapeOf(tensor) != place.shape) {
    return "a tensor was resized without allocate_tensors";
  }
  return {};
}

}  // namespace larq_reactnet_runtime
