#include "program.h"

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <caffe2/serialize/inline_container.h>
#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/csrc/jit/serialization/import.h>

#include <filesystem>
#include <utility>

#include "error.h"

namespace baimu {

using Tensors = std::vector<at::Tensor>;

class Program::Graph {
 public:
  virtual ~Graph() = default;
  virtual Tensors call(Tensors inputs) = 0;
};

namespace {

bool ends_with(const std::string& text, const std::string& ending) {
  return text.size() >= ending.size() && text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

/// What torch says of a fault, without the addresses of its own functions.
std::string first_lines(const std::exception& error) {
  const auto* known = dynamic_cast<const c10::Error*>(&error);
  std::string text = known != nullptr ? known->what_without_backtrace() : error.what();
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

class Script : public Program::Graph {
 public:
  explicit Script(const std::string& path) : module_(torch::jit::load(path, at::kCPU)) { module_.eval(); }

  Tensors call(Tensors inputs) override {
    const c10::IValue found = module_.forward({inputs.begin(), inputs.end()});
    if (found.isTensor()) return {found.toTensor()};
    if (found.isTensorList()) return found.toTensorVector();
    Tensors out;
    for (const c10::IValue& part : found.toTupleRef().elements()) out.push_back(part.toTensor());
    return out;
  }

 private:
  torch::jit::Module module_;
};

class Compiled : public Program::Graph {
 public:
  explicit Compiled(const std::string& path) : loader_(path) {}

  Tensors call(Tensors inputs) override {
    for (at::Tensor& input : inputs) input = input.contiguous();  // the layout that it was compiled for
    return loader_.run(inputs);
  }

 private:
  torch::inductor::AOTIModelPackageLoader loader_;
};

std::unique_ptr<Program::Graph> open(const std::string& path) {
  const c10::InferenceMode guard;
  if (ends_with(path, ".aoti.pt2")) return std::make_unique<Compiled>(path);
  if (ends_with(path, ".torchscript")) return std::make_unique<Script>(path);
  throw Error("C++ loads .torchscript and .aoti.pt2; export the model with format=torchscript or format=aotinductor");
}

Array to_array(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.to(at::kCPU, at::kFloat).contiguous();
  const float* values = plain.const_data_ptr<float>();
  return {plain.sizes().vec(), {values, values + plain.numel()}};
}

std::vector<Array> answer(Program::Graph& graph, Tensors inputs, const std::string& path) {
  try {
    const c10::InferenceMode guard;
    std::vector<Array> out;
    for (const at::Tensor& tensor : graph.call(std::move(inputs))) out.push_back(to_array(tensor));
    return out;
  } catch (const std::exception& error) {
    throw Error(path + ": failed while it computed (" + first_lines(error) + ")");
  }
}

void require(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) throw Error(path + ": there is no such file; check the path");
}

}  // namespace

Program::Program(const std::string& path) : path_(path) {
  require(path);
  try {
    graph_ = open(path);
  } catch (const std::exception& error) {
    throw Error(path + ": cannot be loaded by this torch (" + first_lines(error) + ")");
  }
}

Program::~Program() = default;

std::vector<Array> Program::run(const Batch& images, bool takes_sizes) {
  const auto height = static_cast<std::int64_t>(images.size.height), width = static_cast<std::int64_t>(images.size.width);
  // from_blob neither copies nor keeps the bytes, nor does it write to them; `images` outlives the call.
  auto* pixels = const_cast<std::uint8_t*>(images.pixels.data());
  auto* sizes = const_cast<std::int64_t*>(images.sizes.data());
  Tensors inputs{at::from_blob(pixels, {images.count, height, width, 3}, at::kByte).permute({0, 3, 1, 2})};
  if (takes_sizes) inputs.push_back(at::from_blob(sizes, {images.count, 2}, at::kLong));
  return answer(*graph_, std::move(inputs), path_);
}

std::vector<Array> Program::run() { return answer(*graph_, {}, path_); }

std::string read_card(const std::string& path) {
  require(path);
  try {
    caffe2::serialize::PyTorchStreamReader archive(path);
    if (archive.hasRecord("extra/baimu.json")) {
      const auto [data, size] = archive.getRecord("extra/baimu.json");
      return {static_cast<const char*>(data.get()), size};
    }
  } catch (const std::exception& error) {
    throw Error(path + ": is damaged or no file of torch (" + first_lines(error) + "); export it again");
  }
  throw Error(path + ": was not exported by baimu, so nothing says what its tensors mean; export it with baimu export");
}

void load_operators(const std::string& path) {
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr)
    throw Error(path + ": cannot be loaded (" + dlerror() + ")");
}

void set_threads(int count) {
  at::set_num_threads(count);
  at::set_num_interop_threads(1);
}

}  // namespace baimu
