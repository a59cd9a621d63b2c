#include "golden/sample_run.h"

#include <fmt/format.h>
#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "golden/device.h"
#include "image/decode.h"
#include "session/trace.h"

namespace lithe::golden {

namespace fs = std::filesystem;

SampleRun::SampleRun(const Case& golden, const CheckpointForm& form)
    : golden_(golden), form_(form), session_(open(Json::object())) {
  if (golden.json.contains("image_files")) {
    pictures_ = golden.json.at("image_files").get<std::vector<std::string>>();
    return;
  }
  for (std::size_t i = 0; i < golden.json.at("samples").size(); ++i) {
    for (const std::string& picture : pictures_of(i)) {
      if (std::find(pictures_.begin(), pictures_.end(), picture) == pictures_.end()) pictures_.push_back(picture);
    }
  }
  // "img1" is image1.png whatever sample shows it first.
  std::sort(pictures_.begin(), pictures_.end(),
            [](const std::string& a, const std::string& b) { return std::pair(a.size(), a) < std::pair(b.size(), b); });
}

session::Session SampleRun::open(const Json& changes) {
  return session::Session::open(assemble(form_, changes, temp_), {.device = device()});
}

std::vector<std::string> SampleRun::pictures_of(std::size_t i) const {
  const Json& entry = sample(i);
  if (entry.contains("image")) return {entry.at("image").get<std::string>()};
  return entry.value("images", std::vector<std::string>{});
}

fs::path SampleRun::path_of(const std::string& picture) const {
  const fs::path direct = golden_.folder / picture;
  return fs::exists(direct) ? direct : golden_.folder / "inputs" / picture;
}

const models::ImageRows& SampleRun::encoded(const std::string& picture, std::size_t pictures) {
  const auto found = encoded_.find({picture, pictures});
  if (found != encoded_.end()) return found->second;
  const image::Image image = image::read_image(path_of(picture), session_.decode_options());
  const models::EncodeOptions options{.pictures = static_cast<int64_t>(pictures)};
  return encoded_.emplace(std::pair(picture, pictures), model().encode_image(image, options)).first->second;
}

session::Request SampleRun::request(std::size_t i) {
  std::ifstream file(golden_.folder / sample(i).at("prompt_file").get<std::string>(), std::ios::binary);
  require(file.good(), Fault::bad_file, "The prompt file of sample ", i, " can't be opened.");
  session::Request request{.raw = true};
  request.text.assign(std::istreambuf_iterator<char>(file), {});
  for (const std::string& picture : pictures_of(i)) {
    request.images.push_back(image::read_image(path_of(picture), session_.decode_options()));
  }
  return request;
}

const io::SafetensorsFile& SampleRun::trace(std::size_t i) {
  const auto found = traces_.find(i);
  if (found != traces_.end()) return found->second;
  const auto tokens = golden_.expected.tensors.find(fmt::format("s{}.greedy_tokens", i));
  const int64_t count = tokens == golden_.expected.tensors.end() ? 0 : tokens->second.count();
  const fs::path out = temp_.path() / fmt::format("trace{}.safetensors", i);
  session::write_trace(session_, request(i), {.max_tokens = count, .ignore_eos = true}, out);
  return traces_.emplace(i, io::open_safetensors(out)).first->second;
}

const io::TensorView& SampleRun::traced(std::size_t i, const std::string& name) {
  const io::SafetensorsFile& file = trace(i);
  const auto found = file.tensors.find(name);
  require(found != file.tensors.end(), Fault::bad_file, "The trace of sample ", i, " has no ", name, ".");
  return found->second;
}

plan::Group routed_group(const plan::Plan& plan) {
  for (const plan::LayerPlan& layer : plan.layers) {
    if (!layer.rules.empty()) return layer.rules.front().group;
  }
  return plan::Group::vision;
}

std::vector<float> values_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kCPU, at::kFloat).contiguous();
  const float* const data = flat.const_data_ptr<float>();
  return {data, data + flat.numel()};
}

Check run_samples(const Case& golden, const CheckpointForm& form) {
  Check check(form.name);
  SampleRun run(golden, form);
  check_samples(run, check);
  check_batch(run, check);
  return check;
}

}  // namespace lithe::golden
