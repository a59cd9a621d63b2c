#include "serve/metrics.h"

#include <fmt/format.h>
#include <algorithm>
#include <ctime>
#include <iterator>
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
const std::vector<double> kTokenSeconds = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
                                           0.75, 1,     2.5,  5,     7.5, 10,   20,  40,  80};
const std::vector<double> kTokens = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};

constexpr double kMs = 1e-3;

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

/// With all its digits: a counter that is rounded seems to stand still.
template <class Number>
std::string written(Number value) {
  return fmt::format("{}", value);
}

class Page {
 public:
  explicit Page(const std::string& model) : label_("model_name=\"" + escaped(model) + "\"") {}

  void head(const std::string& name, const char* type, const char* help) {
    out_ << "# HELP " << name << ' ' << help << "\n# TYPE " << name << ' ' << type << '\n';
  }
  template <class Number>
  void line(const std::string& name, Number value, const std::string& more = {}) {
    out_ << name << '{' << label_ << more << "} " << written(value) << '\n';
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
    out << (i < bounds_.size() ? written(bounds_[i]) : "+Inf") << "\"} " << count << '\n';
  }
  out << name << "_sum{" << label << "} " << written(sum_) << '\n';
  out << name << "_count{" << label << "} " << count << '\n';
  return out.str();
}

Metrics::Metrics(const MetricFacts& facts)
    : facts_(facts),
      first_token_(kFirstTokenSeconds),
      whole_(kWholeSeconds),
      queue_(kWholeSeconds),
      prefill_(kWholeSeconds),
      decode_(kWholeSeconds),
      next_token_(kTokenSeconds),
      per_token_(kTokenSeconds),
      request_prompt_tokens_(kTokens),
      request_new_tokens_(kTokens) {}

void Metrics::set_load(const EngineLoad& load) {
  const std::lock_guard lock(mutex_);
  load_ = load;
}

void Metrics::first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  first_token_.observe(seconds);
}

void Metrics::next_token(double seconds) {
  const std::lock_guard lock(mutex_);
  next_token_.observe(seconds);
}

void Metrics::ended(const session::Answer& answer) {
  const session::Timings& timings = answer.timings;
  new_tokens_ += std::ssize(answer.tokens);
  if (timings.decoded_tokens > 0)
    per_token_.observe(kMs * timings.decode_ms / static_cast<double>(timings.decoded_tokens));
  ++(answer.stop == session::StopReason::length ? cut_ : stopped_);
}

void Metrics::answered(const session::Outcome& outcome, const RequestTimes& times) {
  const session::Answer& answer = outcome.answer;
  const session::Timings& timings = answer.timings;
  const double prompt = kMs * (timings.image_ms + timings.prefill_ms);
  const std::lock_guard lock(mutex_);
  whole_.observe(times.whole);
  queue_.observe(std::max(0.0, times.first_token - prompt));
  prefill_.observe(prompt);
  decode_.observe(kMs * timings.decode_ms);
  request_prompt_tokens_.observe(static_cast<double>(timings.prompt_rows));
  request_new_tokens_.observe(static_cast<double>(new_tokens(outcome)));
  prompt_tokens_ += timings.prompt_rows;
  image_tokens_ += timings.vision_rows;
  kept_tokens_ += kept_image_tokens(answer);
  flops_ += answer.counted.flops;
  dense_flops_ += answer.counted.dense_flops;
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

void Metrics::timed_out() {
  const std::lock_guard lock(mutex_);
  ++timed_out_;
}

std::string Metrics::text(const std::string& model) const {
  const std::lock_guard lock(mutex_);
  Page page(model);
  page.add("vllm:num_requests_running", "gauge", "Requests that run.", load_.running);
  page.add("vllm:num_requests_waiting", "gauge", "Requests that wait.", load_.waiting);
  page.add("vllm:kv_cache_usage_perc", "gauge", "Reserved share of the memory that requests may use; 1 is all of it.",
           load_.reserved_share);
  page.add("vllm:gpu_cache_usage_perc", "gauge", "The same by its older name.", load_.reserved_share);
  page.head("vllm:cache_config_info", "gauge", "Size of the cache in blocks, as labels; the value is 1.");
  page.line("vllm:cache_config_info", 1,
            concat(",block_size=\"", facts_.block_tokens, "\",num_gpu_blocks=\"", facts_.blocks, "\""));
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
  page.add("vllm:gpu_prefix_cache_queries_total", "counter", "vllm:prefix_cache_queries_total by its older name.",
           caches.prefix_rows_asked);
  page.add("vllm:gpu_prefix_cache_hits_total", "counter", "vllm:prefix_cache_hits_total by its older name.",
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
  page.add("lithe_prompt_flops_total", "counter", "Operations of the decoder for prompts, counted from their plans.",
           flops_);
  page.add("lithe_dense_prompt_flops_total", "counter", "What these would be without a plan.", dense_flops_);
  if (facts_.most_loras > 0) {
    page.head("vllm:lora_requests_info", "gauge", "LoRA of requests, as labels; the value is the time.");
    page.line("vllm:lora_requests_info", std::time(nullptr),
              concat(",max_lora=\"", facts_.most_loras, "\",running_lora_adapters=\"", listed(load_.running_loras),
                     "\",waiting_lora_adapters=\"", listed(load_.waiting_loras), "\""));
  }
  page.head("vllm:request_success_total", "counter", "Answers by the reason of their end.");
  page.line("vllm:request_success_total", stopped_, ",finished_reason=\"stop\"");
  page.line("vllm:request_success_total", cut_, ",finished_reason=\"length\"");
  page.add("lithe_requests_failed_total", "counter", "Requests that the engine refused.", failed_);
  page.add("lithe_requests_abandoned_total", "counter", "Requests that ended because nobody waited or at shutdown.",
           abandoned_);
  page.add("lithe_requests_timed_out_total", "counter", "Requests that took longer than the server allows.",
           timed_out_);
  page.add("vllm:time_to_first_token_seconds", "From the request to its first token.", first_token_);
  page.add("vllm:e2e_request_latency_seconds", "From the request to its last token.", whole_);
  page.add("vllm:request_queue_time_seconds", "Of this, waiting.", queue_);
  page.add("vllm:request_prefill_time_seconds", "Of this, pictures and the prompt, up to the first token.", prefill_);
  page.add("vllm:request_decode_time_seconds", "Of this, from the first token to the last.", decode_);
  page.add("vllm:inter_token_latency_seconds", "From a token to the next one of the same answer.", next_token_);
  page.add("vllm:time_per_output_token_seconds", "The same by its older name.", next_token_);
  page.add("vllm:request_time_per_output_token_seconds", "The same, as the mean of each answer.", per_token_);
  page.add("vllm:request_prompt_tokens", "Prompt tokens of a request.", request_prompt_tokens_);
  page.add("vllm:request_generation_tokens", "New tokens of a request.", request_new_tokens_);
  return page.text();
}

}  // namespace lithe::serve
