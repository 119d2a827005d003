// Makes a list of our own operators from nodes of the graph, and runs it.
#include "tflite/partition.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "base/shape.h"
#include "ops/bconv2d.h"
#include "ops/bmaxpool2d.h"
#include "ops/options.h"
#include "ops/quantize.h"
#include "tflite/tensors.h"

namespace larq_reactnet_runtime {
namespace {

size_t BytesOf(Type type, const Shape& shape) {
  return static_cast<size_t>(Elements(shape)) * (type == Type::kInt8 ? 1 : 4);
}

// Whether a tensor has a shape; or, if `is_twice`, its concatenation with itself along the
// channels.
bool Fits(const Shape& tensor, bool is_twice, Shape shape) {
  if (is_twice && !shape.empty()) {
    if (shape.back() % 2 != 0) return false;
    shape.back() /= 2;
  }
  return tensor == shape;
}

// Describes a tensor to the operators. If there is none, the description is empty.
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
  // A damaged file may have less data than the shape needs.
  if (tensor.allocation_type == kTfLiteMmapRo && tensor.data != nullptr &&
      tensor.sparsity == nullptr && described.type != Type::kOther &&
      Elements(described.shape) > 0 && tensor.bytes >= BytesOf(described.type, described.shape)) {
    described.constant = tensor.data;
  }
  return described;
}

// What the operators of a chain add to its convolution.
Joined DescribeJoined(const TfLiteContext& context, const Chain& chain) {
  Joined joined;
  joined.is_any = true;
  joined.twice = chain.twice;
  for (int slot = 0; slot < kSlotCount; ++slot) {
    if (chain.operands[slot] == kNoTensor) continue;
    joined.slots |= 1 << slot;
    if (kSlots[slot] == Stage::kAddTensor) continue;
    joined.constants[slot] = Describe(context, chain.operands[slot]);
  }
  return joined;
}

// Checks that the joined constants have a value for each filter. In a damaged file, the shape of
// the convolution's output may have another number of channels than there are filters.
Reason CheckJoined(const Joined& joined, const Tensor& filter) {
  const int64_t channels = filter.shape.empty() ? 0 : filter.shape[0];
  for (int slot = 0; slot < kSlotCount; ++slot) {
    const Tensor& constant = joined.constants[slot];
    if ((joined.slots >> slot & 1) == 0 || kSlots[slot] == Stage::kAddTensor) continue;
    if (constant.constant == nullptr || Elements(constant.shape) != channels) {
      return "it has " + std::to_string(channels) + " filters, and a constant of the shape " +
             Text(constant.shape) + " follows for its channels";
    }
  }
  return {};
}

Reason MakeOp(const TfLiteContext& context, const TfLiteNode& node, std::string_view name,
              const Kernel& kernel, const Chain* chain, std::unique_ptr<Op>* op) {
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
  Bconv2dConstants constants;
  constants.filter = Describe(context, inputs[kFilterInput]);
  constants.multiplier = Describe(context, inputs[kMultiplierInput]);
  constants.bias = Describe(context, inputs[kBiasInput]);
  constants.thresholds = Describe(context, inputs[kThresholdsInput]);
  const Joined joined = chain == nullptr ? Joined() : DescribeJoined(context, *chain);
  const Reason misfit = CheckJoined(joined, constants.filter);
  if (!misfit.empty()) return misfit;
  return MakeBconv2d(input, output, constants, joined, options, kernel, op);
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
                const Kernel& kernel, const Chain* chain, Step* step) {
  const int inputs = name == "LceBconv2d" ? kBconv2dInputs : 1;
  if (node.inputs == nullptr || node.outputs == nullptr || node.inputs->size != inputs ||
      node.outputs->size != 1) {
    return "it does not have " + std::to_string(inputs) + (inputs == 1 ? " input" : " inputs") +
           " and one output";
  }
  step->input = node.inputs->data[0];
  step->output = node.outputs->data[0];
  if (!IsTensor(context, step->input) || !IsTensor(context, step->output) ||
      step->input == step->output) {
    return "its input or output is not a tensor";
  }
  if (context.tensors[step->output].allocation_type == kTfLiteMmapRo) {
    return "its output is a constant";
  }
  const Reason reason = MakeOp(context, node, name, kernel, chain, &step->op);
  if (!reason.empty()) return reason;
  if (chain != nullptr) {
    step->output = chain->output;
    step->signs = chain->signs;
    step->twice = chain->twice;
    for (int slot = 0; slot < kSlotCount; ++slot) {
      if (kSlots[slot] == Stage::kAddTensor) step->added[slot] = chain->operands[slot];
    }
  }
  Shape output;
  return step->op->Infer(ShapeOf(context.tensors[step->input]), &output);
}

Reason Partition::Init(TfLiteContext* context, const TfLiteDelegateParams& params,
                       const Kernel& kernel, const Chains& chains) {
  const auto is_output = [&params](int tensor) {
    const TfLiteIntArray& outputs = *params.output_tensors;
    return std::count(outputs.data, outputs.data + outputs.size, tensor) != 0;
  };
  const TfLiteIntArray& nodes = *params.nodes_to_replace;
  // If there is a chain, its nodes are all nodes of the partition.
  const int* const start = std::find_if(nodes.data, nodes.data + nodes.size,
                                        [&](int index) { return chains.count(index) != 0; });
  const bool is_chain = start != nodes.data + nodes.size;
  for (int i = 0; i < (is_chain ? 1 : nodes.size); ++i) {
    const int index = is_chain ? *start : nodes.data[i];
    TfLiteNode* node = nullptr;
    TfLiteRegistration* registration = nullptr;
    if (context->GetNodeAndRegistration(context, index, &node, &registration) != kTfLiteOk) {
      return "the interpreter wants a node to be run, and does not give it";
    }
    if (registration->custom_name == nullptr) {  // of a chain without its convolution
      return "the interpreter divides what is joined (set the option fuse to 0)";
    }
    const Chain* chain = is_chain ? &chains.at(index) : nullptr;
    Step step;
    step.node = index;
    step.joined = chain == nullptr ? std::vector<int>{index} : chain->nodes;
    const Reason reason =
        MakeStep(*context, *node, registration->custom_name, kernel, chain, &step);
    if (!reason.empty()) return std::string(registration->custom_name) + ": " + reason;
    if (chain != nullptr && chain->signs != kNoTensor && !is_output(step.output)) {
      step.output = kNoTensor;
    }
    places_[step.input];
    for (const int added : step.added.tensors) {
      if (added != kNoTensor) places_[added];
    }
    for (const int output : {step.output, step.signs}) {
      if (output != kNoTensor) places_[output].is_inside = !is_output(output);
    }
    steps_.push_back(std::move(step));
  }
  return {};
}

Reason Partition::Prepare(TfLiteContext* context, int threads) {
  for (auto& [tensor, place] : places_) place.shape.clear();
  for (const Step& step : steps_) {
    ReadShape(*context, step.input);
    const Shape& input = places_[step.input].shape;
    Shape output;
    Reason reason = step.op->Infer(input, &output);
    if (!reason.empty()) return reason;
    step.op->Prepare(input, threads);
    for (int slot = 0; slot < kSlotCount; ++slot) {
      const int added = step.added[slot];
      if (added == kNoTensor) continue;
      ReadShape(*context, added);
      const Shape& shape = places_[added].shape;
      const bool is_twice = (step.twice >> slot & 1) != 0;
      if (!Fits(shape, is_twice, output)) {
        return "a tensor of the shape " + Text(shape) + (is_twice ? ", twice," : "") +
               " is added to one of the shape " + Text(output) + " (set the option fuse to 0)";
      }
    }
    if (step.output != kNoTensor) {
      reason = SetOutput(context, step.output, output, step.op->output_type());
    }
    if (reason.empty() && step.signs != kNoTensor) {
      output.back() = WordsOf(output.back());
      reason = SetOutput(context, step.signs, output, Type::kInt32);
    }
    if (!reason.empty()) return reason;
  }
  return {};
}

// Reads the shape of a tensor that comes from outside the partition. Those inside have got theirs
// from the step that writes them.
void Partition::ReadShape(const TfLiteContext& context, int index) {
  Place* place = &places_[index];
  if (!place->shape.empty() || place->is_inside) return;
  const TfLiteTensor& tensor = context.tensors[index];
  place->shape = ShapeOf(tensor);
  place->bytes = Elements(place->shape) < 0 ? 0 : BytesOf(TypeOf(tensor), place->shape);
}

Reason Partition::SetOutput(TfLiteContext* context, int index, const Shape& shape, Type type) {
  Place* place = &places_[index];
  place->shape = shape;
  place->bytes = BytesOf(type, shape);
  if (!place->is_inside) return SetShape(context, index, shape);
  place->memory.Resize(place->bytes);
  return {};
}

Reason Partition::Run(TfLiteContext* context, Threads* threads, Profile* profile) const {
  for (const Step& step : steps_) {
    void *input = nullptr, *signs = nullptr;
    Values values;
    Reason reason = Find(*context, step.input, &input);
    if (reason.empty() && step.output != kNoTensor) {
      reason = Find(*context, step.output, &values.output);
    }
    if (reason.empty() && step.signs != kNoTensor) reason = Find(*context, step.signs, &signs);
    for (int slot = 0; slot < kSlotCount && reason.empty(); ++slot) {
      if (step.added[slot] == kNoTensor) continue;
      void* added = nullptr;
      reason = Find(*context, step.added[slot], &added);
      values.added[slot] = static_cast<const float*>(added);
    }
    if (!reason.empty()) return reason;
    values.input = input;
    values.signs = static_cast<uint32_t*>(signs);
    if (profile == nullptr) {
      step.op->Run(values, threads);
    } else {
      Measure(step, values, threads, profile);
    }
  }
  return {};
}

void Partition::Measure(const Step& step, const Values& values, Threads* threads,
                        Profile* profile) const {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  step.op->Run(values, threads);
  const int64_t taken =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
  Profile::Entry* entry = profile->At(step.node);
  entry->name = step.op->Name();
  entry->nodes = step.joined;
  entry->kernel = step.op->KernelName();
  entry->input = places_.at(step.input).shape;
  entry->output = places_.at(step.output != kNoTensor ? step.output : step.signs).shape;
  entry->products = step.op->Products();
  entry->fastest = std::min(entry->fastest, taken);
  entry->total += taken;
  ++entry->runs;
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
  // The interpreter's own memory is aligned; but a constant is read where it is in the file.
  if (TypeOf(tensor) != Type::kInt8 && reinterpret_cast<uintptr_t>(tensor.data) % 4 != 0) {
    return "a constant that it reads is not aligned in the file";
  }
  return {};
}

}  // namespace larq_reactnet_runtime
