#include "tune/report.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/error.h"
#include "tune/chart.h"
#include "tune/key_field.h"

namespace lithe::tune {
namespace {

constexpr std::size_t kMostAnswers = 48;
constexpr std::size_t kMostTextBytes = 2000;  ///< Of a question or an answer.
constexpr std::size_t kMostSettings = 400;
constexpr std::size_t kMostLayers = 256;
constexpr std::size_t kFewSteps = 50;  ///< No more are smoothed.

constexpr const char* kStyle =
    R"(:root{color-scheme:light dark;--page:#f4f6f9;--card:#fff;--ink:#1c2430;--soft:#5b6675;--line:#e4e8ee;--good:#15803d;--bad:#b91c1c}
@media(prefers-color-scheme:dark){:root{--page:#0d1117;--card:#161b22;--ink:#e6edf3;--soft:#9aa7b5;--line:#2b333d;--good:#4ade80;--bad:#f87171}}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:800px;margin:0 auto;padding:28px 16px 48px}
h1{font-size:24px;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:17px;margin:32px 0 10px}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px;margin:18px 0}
.facts div,.answer,table{background:var(--card);border:1px solid var(--line);border-radius:6px}
.facts div{padding:9px 12px}.facts dt,.answer dt,.note{color:var(--soft);font-size:12px}.facts dd{margin:0;font-size:17px;font-weight:600;overflow-wrap:anywhere}
figure{margin:14px 0;border:1px solid var(--line);border-radius:7px;overflow:hidden}
.answer{margin:10px 0;padding:10px 14px}.answer dl{margin:0}.answer dd{margin:0 0 6px;white-space:pre-wrap;overflow-wrap:anywhere}
.right{color:var(--good)}.wrong{color:var(--bad)}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:13px}td{padding:5px 12px;border-top:1px solid var(--line);overflow-wrap:anywhere}
tr:first-child td{border-top:0}td:first-child{color:var(--soft);width:38%;font-family:ui-monospace,monospace}td:last-child{font-family:ui-monospace,monospace}
)";

/// Cut at the beginning of a character.
std::string cut(const std::string& text) {
  if (text.size() <= kMostTextBytes) return escaped(text);
  std::size_t end = kMostTextBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return escaped(text.substr(0, end)) + " ..";
}

std::optional<double> number_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

/// What a step has of a curve; absent: no point.
using PointOf = std::function<std::optional<double>(const StepRecord&)>;

Series series_of(const std::vector<StepRecord>& steps, const std::string& name, const PointOf& point_of) {
  Series series{.name = name};
  for (const StepRecord& step : steps)
    if (const auto value = point_of(step)) {
      series.x.push_back(static_cast<double>(step.step));
      series.y.push_back(*value);
    }
  return series;
}

/// A further key of the log.
PointOf more(const char* key) {
  return [key](const StepRecord& step) { return number_in(step.more, key); };
}

/// A moving mean over about a hundredth of the run, so that its way can be seen through the noise of batches.
Series smoothed(const Series& series) {
  Series out{.name = "smoothed", .x = series.x};
  const double keep = 1 - 1 / std::max(1.0, static_cast<double>(series.y.size()) / 100);
  double mean = 0, weight = 0;
  for (const double value : series.y) {
    if (value == value) {  // NaN stays out of the mean
      mean = keep * mean + (1 - keep) * value;
      weight = keep * weight + (1 - keep);
    }
    out.y.push_back(weight > 0 ? mean / weight : value);
  }
  return out;
}

/// One curve per layer that the objects under `key` name, in order of depth.
std::vector<Series> layers_of(const std::vector<StepRecord>& steps, const char* key) {
  std::map<int64_t, Series> layers;
  for (const StepRecord& step : steps) {
    const auto found = step.more.find(key);
    if (found == step.more.end() || !found->is_object()) continue;
    for (const auto& [name, value] : found->items()) {
      const bool is_layer =
          !name.empty() && name.size() < 5 && name.find_first_not_of("0123456789") == std::string::npos;
      if (!is_layer || !value.is_number() || (layers.size() >= kMostLayers && layers.count(std::stoll(name)) == 0))
        continue;
      Series& series = layers[std::stoll(name)];
      series.x.push_back(static_cast<double>(step.step));
      series.y.push_back(value.get<double>());
    }
  }
  std::vector<Series> curves;
  for (auto& [layer, series] : layers) {
    // Many curves share the size that one may have.
    series = thinned(series, std::max<std::size_t>(20, 2000 / layers.size()));
    series.name = concat("layer ", layer);
    curves.push_back(std::move(series));
  }
  return curves;
}

std::string figure(const std::string& svg) {
  return "<figure>" + svg + "</figure>\n";
}

/// A curve that jumps from batch to batch: faint, with a smooth one over it if it is long.
std::vector<Series> noisy(Series raw) {
  if (raw.x.size() <= kFewSteps) return {raw};
  raw.faint = true;
  Series smooth = smoothed(raw);
  raw.name = "each step";
  return {raw, smooth};
}

std::string loss_chart(const std::vector<StepRecord>& steps) {
  LineChart chart{.title = "Loss", .x_label = "optimiser step", .y_label = "nats per label"};
  chart.series = noisy(series_of(steps, "training", [](const StepRecord& step) { return step.loss; }));
  if (Series held_out = series_of(steps, "held-out", more("eval_loss")); !held_out.x.empty())
    chart.series.push_back(std::move(held_out));
  return figure(svg_of(chart));
}

std::string step_chart(const std::string& title, const std::string& unit, std::vector<Series> series) {
  if (series.front().x.empty()) return "";
  return figure(
      svg_of(LineChart{.title = title, .x_label = "optimiser step", .y_label = unit, .series = std::move(series)}));
}

std::string router_chart(const std::vector<StepRecord>& steps) {
  LineChart chart{.title = "Router weights",
                  .x_label = "optimiser step",
                  .y_label = "mean weight of a layer's vision tokens",
                  .series = layers_of(steps, "router_weights"),
                  .ordered = true};
  return chart.series.empty() ? "" : figure(svg_of(chart));
}

/// The last share that each layer kept.
std::string kept_chart(const std::vector<StepRecord>& steps) {
  BarChart chart{.title = "Kept vision tokens",
                 .x_label = "decoder layer",
                 .y_label = "share of the layer's vision tokens, last logged step",
                 .low = 0,
                 .high = 1};
  for (const Series& layer : layers_of(steps, "kept_shares"))
    chart.bars.push_back({.label = layer.name.substr(layer.name.find(' ') + 1), .value = layer.y.back()});
  return chart.bars.empty() ? "" : figure(svg_of(chart));
}

std::string charts_of(const Report& report) {
  const std::vector<StepRecord>& steps = report.steps;
  std::string out;
  if (!steps.empty()) {
    out += loss_chart(steps);
    out += step_chart("Held-out score", "share of right answers", {series_of(steps, "score", more("eval_score"))});
    out += step_chart("Learning rate", "of the first group",
                      {series_of(steps, "rate", [](const StepRecord& step) { return step.lr; })});
    out += step_chart("Gradient norm", "before clipping",
                      noisy(series_of(steps, "norm", [](const StepRecord& step) { return step.grad_norm; })));
    out +=
        step_chart("Kept share", "of the vision tokens of all layers", {series_of(steps, "kept", more("kept_share"))});
    out += router_chart(steps) + kept_chart(steps);
  }
  if (report.redundancy) out += figure(svg_of(*report.redundancy));
  return out.empty() ? "" : "<h2>The run</h2>\n" + out;
}

std::string facts_of(const Report& report) {
  std::string out;
  for (const auto& [name, value] : report.facts)
    out += "<div><dt>" + cut(name) + "</dt><dd>" + cut(value) + "</dd></div>\n";
  return out.empty() ? "" : "<dl class=\"facts\">\n" + out + "</dl>\n";
}

std::string answer_card(const ReportedAnswer& sample) {
  const char* const verdict = !sample.right ? "" : *sample.right ? " class=\"right\"" : " class=\"wrong\"";
  const char* const said = !sample.right ? "answer" : *sample.right ? "answer (right)" : "answer (wrong)";
  return concat("<div class=\"answer\"><dl><dt>", cut(sample.name), "</dt><dd>", cut(sample.question),
                "</dd><dt>expected</dt><dd>", cut(sample.expected), "</dd><dt>", said, "</dt><dd", verdict, ">",
                cut(sample.answer), "</dd></dl></div>\n");
}

std::string answers_of(const Report& report) {
  if (report.answers.empty()) return "";
  std::string out = "<h2>Sample answers</h2>\n";
  const std::size_t shown = std::min(report.answers.size(), kMostAnswers);
  for (std::size_t i = 0; i < shown; ++i) out += answer_card(report.answers[i]);
  if (shown < report.answers.size())
    out += concat("<p class=\"note\">", shown, " of ", report.answers.size(), " are shown.</p>\n");
  return out;
}

/// Rows of a table: nested keys with dots, lists of texts on one line.
void add_rows(const Json& value, const std::string& name, std::vector<std::string>& rows) {
  if (rows.size() >= kMostSettings) return;
  const bool nested = value.is_object() || (value.is_array() && !value.empty() && value.front().is_object());
  if (nested) {
    std::size_t index = 0;
    for (const auto& [key, inner] : value.items()) {
      ++index;
      add_rows(inner, value.is_array() ? concat(name, "[", index, "]") : name.empty() ? key : name + "." + key, rows);
    }
    return;
  }
  const std::string text = text_of(value);
  rows.push_back("<tr><td>" + cut(name) + "</td><td>" + cut(text) + "</td></tr>\n");
}

std::string settings_table(const Json& settings) {
  std::vector<std::string> rows;
  if (!settings.is_null()) add_rows(settings, "", rows);
  if (rows.empty()) return "";
  std::string out = "<h2>Settings</h2>\n<table>\n";
  for (const std::string& row : rows) out += row;
  return out + "</table>\n";
}

}  // namespace

std::string html_of(const Report& report) {
  const std::string title = cut(report.title);
  return concat("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n",
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>", title,
                "</title>\n<style>\n", kStyle, chart_style(), "</style></head>\n<body><main>\n<h1>", title, "</h1>\n",
                facts_of(report), charts_of(report), answers_of(report), settings_table(report.settings),
                "</main></body></html>\n");
}

}  // namespace lithe::tune
