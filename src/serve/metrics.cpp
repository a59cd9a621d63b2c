#include "serve/metrics.h"

#include <fmt/format.h>
#include <algorithm>
#include <ctime>
#include <sstream>

#include "base/error.h"
#include "serve/answer_json.h"

namespace lithe::serve {
namespace {

// vLLM's bounds, so that its dashboards show the same steps.
const std::vector<double> kFirstTokenSeconds = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                                                1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
const std::vector<double> kWholeSeconds = {0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                           30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};

/// A label's value: backslashes, quotation marks and line ends are escaped.
std::string escaped(const std::string& value) {
  std::string result;
  for (const char c : value) {
    if (c == '\\' || c == '"') result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result;
}

std::string listed(const std::set<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    if (!list.empty()) list += ',';
    list += escaped(name);
  }
  return list;
}

class Page {
 public:
  explicit Page(const std::string& model) : label_("model_name=\"" + escaped(model) + "\"") {}

  void head(const std::string& name, const char* type, const char* help) {
    out_ << "# HELP " << name << ' ' << help << "\n# TYPE " << name << ' ' << type << '\n';
  }
  template <class Number>
  void line(const std::string& name, Number value, const std::string& more = {}) {
    out_ << name << '{' << label_ << more << "} " << value << '\n';
  }
  template <class Number>
  void add(const std::string& name, const char* type, const char* help, Number value) {
    head(name, type, help);
    line(name, value);
  }
  void add(const std::string& name, const char* help, const Histogram& histogram) {
    head(name, "histogram", help);
    out_ << histogram.text(name, label_);
  }
  std::string text() const { return out_.str(); }

 private:
  std::string label_;
  std::ostringstream out_;
};

}  // namespace

void Histogram::observe(double value) {
  const auto place = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  ++counts_[static_cast<std::size_t>(place)];
  sum_ += value;
}

std::string Histogram::text(const std::string& name, const std::string& label) const {
  std::ostringstream out;
  uint64_t count = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    count += counts_[i];
    out << name << "_bucket{" << label << ",le=\"";
    i < bounds_.size() ? out << bounds_[i] : out << "+Inf";
    out << "\"} " << count << '\n';
  }
  out << name << "_sum{" << label << "} " << fmt::format("{}", sum_) << '\n'
      << name << "_count{" << label << "} " << count << '\n';
  return out.str();
}

Metrics::Metrics(int64_t most_loras)
    : most_loras_(most_loras), first_token_(kFirstTokenSeconds), whole_(kWholeSeconds) {}

void Metrics::set_load(const EngineLoad& load) {
  const std::lock_guard lock(mutex_);
  load_ = load;
}

void Metrics::first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  first_token_.observe(seconds);
}

void Metrics::ended(const session::Answer& answer) {
  new_tokens_ += static_cast<int64_t>(answer.tokens.size());
  ++(answer.stop == session::StopReason::length ? cut_ : stopped_);
}

void Metrics::answered(const session::Outcome& outcome, double seconds) {
  const session::Answer& answer = outcome.answer;
  const std::lock_guard lock(mutex_);
  whole_.observe(seconds);
  prompt_tokens_ += answer.timings.prompt_rows;
  image_tokens_ += answer.timings.vision_rows;
  kept_tokens_ += kept_image_tokens(answer);
  ended(answer);
  for (const session::Answer& further : outcome.more) ended(further);
}

void Metrics::failed() {
  const std::lock_guard lock(mutex_);
  ++failed_;
}

void Metrics::abandoned() {
  const std::lock_guard lock(mutex_);
  ++abandoned_;
}

std::string Metrics::text(const std::string& model) const {
  const std::lock_guard lock(mutex_);
  Page page(model);
  page.add("vllm:num_requests_running", "gauge", "Requests that run.", load_.running);
  page.add("vllm:num_requests_waiting", "gauge", "Requests that wait.", load_.waiting);
  page.add("vllm:kv_cache_usage_perc", "gauge", "Reserved share of the memory that requests may use; 1 is all of it.",
           load_.reserved_share);
  page.add("vllm:gpu_cache_usage_perc", "gauge", "The same by its older name.", load_.reserved_share);
  page.add("lithe_kv_bytes", "gauge", "Bytes reserved for the keys and values of running requests.", load_.kv_bytes);
  const session::CacheState& caches = load_.caches;
  page.add("lithe_prefix_cache_bytes", "gauge", "Bytes of keys and values that are kept for later prompts.",
           caches.prefix_bytes);
  page.add("lithe_picture_cache_bytes", "gauge", "Bytes of pictures' rows that are kept for later prompts.",
           caches.picture_bytes);
  page.add("vllm:prefix_cache_queries_total", "counter", "Prompt tokens that were looked for among those held.",
           caches.prefix_rows_asked);
  page.add("vllm:prefix_cache_hits_total", "counter", "Of these, tokens whose keys and values were used again.",
           caches.prefix_rows_found);
  page.add("vllm:mm_cache_queries_total", "counter", "Pictures that were looked for among those held.",
           caches.pictures_asked);
  page.add("vllm:mm_cache_hits_total", "counter", "Of these, pictures that did not go through the vision tower again.",
           caches.pictures_found);
  page.add("vllm:prompt_tokens_total", "counter", "Prompt tokens of answered requests.", prompt_tokens_);
  page.add("vllm:generation_tokens_total", "counter", "New tokens of answered requests.", new_tokens_);
  page.add("lithe_vision_tokens_total", "counter", "Picture tokens among the prompt tokens.", image_tokens_);
  page.add("lithe_kept_vision_tokens_total", "counter",
           "Picture tokens that a decoder layer ran, on average over the layers.", kept_tokens_);
  if (most_loras_ > 0) {
    page.head("vllm:lora_requests_info", "gauge", "LoRA of requests, as labels; the value is the time.");
    page.line("vllm:lora_requests_info", std::time(nullptr),
              concat(",max_lora=\"", most_loras_, "\",running_lora_adapters=\"", listed(load_.running_loras),
                     "\",waiting_lora_adapters=\"", listed(load_.waiting_loras), "\""));
  }
  page.head("vllm:request_success_total", "counter", "Answers by the reason of their end.");
  page.line("vllm:request_success_total", stopped_, ",finished_reason=\"stop\"");
  page.line("vllm:request_success_total", cut_, ",finished_reason=\"length\"");
  page.add("lithe_requests_failed_total", "counter", "Requests that the engine refused.", failed_);
  page.add("lithe_requests_abandoned_total", "counter", "Requests that ended because nobody waited or at shutdown.",
           abandoned_);
  page.add("vllm:time_to_first_token_seconds", "From the request to its first token.", first_token_);
  page.add("vllm:e2e_request_latency_seconds", "From the request to its last token.", whole_);
  return page.text();
}

}  // namespace lithe::serve
