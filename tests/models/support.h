#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/abs.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "checkpoints/read/weights.h"
#include "io/safetensors.h"
#include "models/model.h"

namespace lithe::models {

namespace fs = std::filesystem;

inline fs::path golden_folder(const std::string& name) {
  return fs::path(LITHE_TEST_DATA) / "golden" / name;
}

inline std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// expected.safetensors of a golden case.
class Golden {
 public:
  explicit Golden(const std::string& name)
      : folder(golden_folder(name)), file_(io::open_safetensors(folder / "expected.safetensors")) {}

  bool has(const std::string& name) const { return file_.tensors.contains(name); }
  Tensor floats(const std::string& name) const { return tensor_over(file_.tensors.at(name)); }

  /// int32 and uint8 tensors, flat.
  std::vector<int64_t> integers(const std::string& name) const {
    const io::TensorView& view = file_.tensors.at(name);
    std::vector<int64_t> values;
    if (view.dtype == io::Dtype::uint8) {
      for (const uint8_t value : view.values<uint8_t>()) values.push_back(value);
    } else {
      for (const int32_t value : view.values<int32_t>()) values.push_back(value);
    }
    return values;
  }

  std::vector<int64_t> shape(const std::string& name) const { return file_.tensors.at(name).shape; }

  /// "img0.rgb" as a picture.
  image::Image picture(const std::string& name) const {
    const io::TensorView& view = file_.tensors.at(name);
    image::Image picture(view.shape[1], view.shape[0]);
    const auto bytes = view.values<uint8_t>();
    std::copy(bytes.begin(), bytes.end(), picture.rgb.begin());
    return picture;
  }

  fs::path folder;

 private:
  io::SafetensorsFile file_;
};

/// Passes if |actual - expected| <= abs + rel |expected| for every element; the goldens' tolerance is 2e-4 + 1e-4.
inline ::testing::AssertionResult close(const Tensor& actual, const Tensor& expected, double abs = 2e-4,
                                        double rel = 1e-4) {
  if (actual.numel() != expected.numel())
    return ::testing::AssertionFailure() << actual.numel() << " numbers, expected " << expected.numel();
  const Tensor a = actual.to(at::kFloat).reshape({-1}), b = expected.to(at::kFloat).reshape({-1});
  const Tensor excess = at::abs(a - b) - at::abs(b) * rel - abs;
  const double worst = excess.max().item<double>();
  if (worst <= 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "off by " << at::abs(a - b).max().item<double>() << ", " << worst
                                       << " more than allowed";
}

/// What one prefill through the decoder showed.
struct Prefill {
  std::vector<std::vector<int64_t>> kept;            ///< Per layer: the rows that ran.
  std::vector<std::optional<Tensor>> router_weight;  ///< Per layer.
  std::vector<Tensor> hidden;                        ///< Per layer.
  Tensor logits;                                     ///< [rows, vocab]
};

inline Prefill prefill(const Model& model, const Tensor& rows, const std::vector<routing::RowKind>& kinds) {
  routing::Batch batch;
  batch.add({.plan = &model.plan}, kinds);
  Prefill seen;
  const Tensor out = model.decoder.forward(batch, rows, [&](const routing::LayerReport& report) {
    std::vector<int64_t> kept = report.rows->active.list;
    if (!report.rows->active.index) kept = report.batch->order;
    seen.kept.push_back(std::move(kept));
    seen.router_weight.push_back(report.rows->router_weight.empty() ? std::nullopt
                                                                    : report.rows->router_weight.front());
    seen.hidden.push_back(report.hidden.clone());
  });
  seen.logits = model.decoder.logits(out);
  return seen;
}

/// A folder that is removed at the end.
class TempFolder {
 public:
  TempFolder() {
    static int count = 0;
    path = fs::temp_directory_path() / ("lithe_models_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    fs::create_directories(path);
  }
  ~TempFolder() {
    std::error_code code;
    fs::remove_all(path, code);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  fs::path path;
};

inline void write_text(const fs::path& path, const std::string& text) {
  fs::remove(path);
  std::ofstream(path) << text;
}

/// Changes a JSON file in place.
inline void edit_json(const fs::path& path, const std::function<void(Json&)>& edit) {
  Json json = read_json_file(path);
  edit(json);
  write_text(path, json.dump());
}

/// Rewrites a safetensors file: `edit` may rename, drop or replace tensors.
inline void edit_tensors(const fs::path& path,
                         const std::function<void(std::map<std::string, io::TensorView>&)>& edit) {
  const io::SafetensorsFile file = io::open_safetensors(path);
  auto tensors = file.tensors;
  edit(tensors);
  fs::remove(path);
  io::write_safetensors(path, {tensors.begin(), tensors.end()});
}

/// The sentence of the Error that `run` throws; empty when it throws none.
inline std::string refusal(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace lithe::models
