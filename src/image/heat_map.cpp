#include "image/heat_map.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "image/font.h"
#include "image/heat_views.h"

namespace lithe::image {
namespace {

constexpr int64_t kWidth = 1280;
constexpr int64_t kMargin = 24;
constexpr int64_t kContent = kWidth - 2 * kMargin;
constexpr int64_t kPanelHeight = 608;  // Of the picture and its overlay.
constexpr int64_t kCellHeight = 260;   // Of a layer's copy.
constexpr int64_t kLeastCell = 180;    // Its width.
constexpr int64_t kMostCell = 400;
constexpr std::size_t kQuestionLines = 4;
constexpr Colour kPaper{252, 252, 252};
constexpr Colour kInk{28, 28, 32};
constexpr Colour kFaint{100, 100, 108};

/// What is drawn, and what it is drawn from.
class Sheet {
 public:
  Sheet(const std::vector<HeatView>& views, const std::vector<LayerKept>& layers, const HeatCaption& caption)
      : views_(views), layers_(layers), caption_(caption) {
    count_ = std::max<int64_t>(caption.layers, layers.empty() ? 0 : layers.back().layer + 1);
    if (caption.layers == 0 || count_ < static_cast<int64_t>(layers.size())) count_ = std::ssize(layers);
    if (layers.empty()) return;
    tokens_ = layers.front().total;
    counts_.assign(static_cast<std::size_t>(tokens_), count_ - std::ssize(layers));
    for (const LayerKept& layer : layers) {
      for (const int64_t token : layer.kept) ++counts_[static_cast<std::size_t>(token)];
    }
  }

  Image draw() {
    draw_caption();
    draw_panels();
    draw_legend();
    draw_layers();
    canvas_.rgb.resize(static_cast<std::size_t>(y_ * kWidth * 3));
    canvas_.height = y_;
    return std::move(canvas_);
  }

 private:
  /// Makes room for `height` more rows of paper below what is drawn.
  void need(int64_t height) {
    const Image more(kWidth, std::max<int64_t>(y_ + height - canvas_.height, 0), kPaper[0], kPaper[1], kPaper[2]);
    canvas_.rgb.insert(canvas_.rgb.end(), more.rgb.begin(), more.rgb.end());
    canvas_.height += more.height;
    canvas_.width = kWidth;
  }

  void write(const Font& font, const std::string& text, Colour colour, std::size_t most_lines) {
    for (const std::string& line : font.wrap(text, kContent, most_lines)) {
      need(font.line_height() + 3);
      font.draw(canvas_, kMargin, y_, line, colour);
      y_ += font.line_height() + 3;
    }
  }

  std::string share_of_kept() const {
    int64_t kept = (count_ - std::ssize(layers_)) * tokens_;
    for (const LayerKept& layer : layers_) kept += std::ssize(layer.kept);
    const int64_t all = count_ * tokens_;
    const int64_t tenths = all == 0 ? 1000 : (1000 * kept + all / 2) / all;
    return concat(tenths / 10, ".", tenths % 10, " %");
  }

  void draw_caption() {
    need(kMargin);
    y_ = kMargin;
    const std::string title =
        layers_.empty() ? "Every layer kept every vision token"
                        : concat(share_of_kept(), " of ", tokens_, " vision tokens kept over ", count_, " layers");
    write(Font::large(), title, kInk, 1);
    if (!caption_.model.empty()) write(Font::plain(), "Model: " + caption_.model, kInk, 2);
    if (!caption_.plan.empty()) write(Font::plain(), "Plan: " + caption_.plan, kInk, 1);
    if (!caption_.question.empty()) write(Font::plain(), "Question: " + caption_.question, kInk, kQuestionLines);
    y_ += kHeatGap / 2;
  }

  /// One line at (x, y_), cut to `width`.
  void label(int64_t x, const std::string& text, int64_t width) {
    need(Font::small().line_height() + 4);
    for (const std::string& line : Font::small().wrap(text, width, 1)) Font::small().draw(canvas_, x, y_, line, kFaint);
  }

  /// The picture, and the same under the overlay beside it.
  void draw_panels() {
    const Arrangement box = arrange(views_, (kContent - kHeatGap) / 2, kPanelHeight);
    const int64_t second = kMargin + box.size.width + kHeatGap;
    label(kMargin, "The picture as the vision tower sees it", box.size.width);
    label(second, "How many layers kept each patch", box.size.width);
    y_ += Font::small().line_height() + 4;
    draw_views(kMargin, box, nullptr, false);
    draw_views(second, box, nullptr, true);
    y_ += box.size.height + kHeatGap;
  }

  /// At (x, y_). `fates`: a layer's, or none: the picture, or its overlay.
  void draw_views(int64_t x, const Arrangement& box, const std::vector<Fate>* fates, bool overlay) {
    need(box.size.height + kHeatGap);
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const Rect& place = box.places[i];
      Image drawn = scaled(views_[i], {place.width, place.height});
      if (fates) drawn = with_fates(views_[i], std::move(drawn), *fates);
      if (overlay) drawn = with_overlay(views_[i], std::move(drawn), counts_, layers_.empty() ? 0 : count_);
      paste(canvas_, drawn, x + place.x, y_ + place.y);
    }
  }

  /// The colours of the overlay as a bar, those of the layers' copies as samples.
  void draw_legend() {
    constexpr int64_t kBar = 260, kHeight = 14;
    const Font& font = Font::small();
    const int64_t text_y = y_ + (kHeight - font.line_height()) / 2;
    need(kHeight + kHeatGap);
    int64_t x = kMargin;
    const auto put = [&](const std::string& text) {
      font.draw(canvas_, x, text_y, text, kInk);
      x += font.width(text) + 8;
    };
    put("kept by 0");
    for (int64_t i = 0; i < kBar; ++i)
      fill(canvas_, {x + i, y_, 1, kHeight}, heat_colour(static_cast<double>(i) / (kBar - 1)));
    x += kBar + 8;
    put(layers_.empty() ? "all layers" : concat(count_, " layers"));
    if (!layers_.empty()) {
      x += 40;
      for (const auto& [fate, name] : {std::pair{Fate::kept, "kept"}, std::pair{Fate::offered, "keys and values only"},
                                       std::pair{Fate::dropped, "dropped"}}) {
        draw_sample(x, fate, kHeight);
        x += 3 * kHeight + 8;
        put(name);
        x += 16;
      }
    }
    y_ += kHeight + kHeatGap;
  }

  /// Three shades of a picture as a layer's copy shows them.
  void draw_sample(int64_t x, Fate fate, int64_t side) {
    for (const Colour& shade : {Colour{120, 60, 30}, Colour{200, 150, 60}, Colour{240, 220, 180}}) {
      Colour colour = shade;
      colour_pixel(colour.data(), fate);
      fill(canvas_, {x, y_, side, side}, colour);
      x += side;
    }
  }

  void name_whole_layers() {
    std::vector<int64_t> whole;
    for (int64_t layer = 0; layer < caption_.layers; ++layer) {
      const bool drawn =
          std::any_of(layers_.begin(), layers_.end(), [layer](const LayerKept& kept) { return kept.layer == layer; });
      if (!drawn) whole.push_back(layer);
    }
    if (whole.empty()) return;
    const bool one = whole.size() == 1;
    write(Font::plain(), concat(one ? "Layer " : "Layers ", ranges(whole), one ? " keeps" : " keep", " everything."),
          kInk, 2);
    y_ += kHeatGap / 2;
  }

  void draw_layers() {
    name_whole_layers();
    if (layers_.empty()) return;
    const int64_t least = kLeastCell * (views_.size() > 1 ? 3 : 2) / 2;
    const int64_t most = (kContent + kHeatGap) / (least + kHeatGap);
    const int64_t rows = (std::ssize(layers_) + most - 1) / most;
    const int64_t columns = (std::ssize(layers_) + rows - 1) / rows;
    const int64_t cell = std::min((kContent - (columns - 1) * kHeatGap) / columns, kMostCell);
    for (int64_t first = 0; first < std::ssize(layers_); first += columns) {
      draw_row(first, std::min(columns, std::ssize(layers_) - first), cell);
    }
  }

  void draw_row(int64_t first, int64_t count, int64_t cell) {
    const Arrangement box = arrange(views_, cell, kCellHeight);
    const std::span<const LayerKept> row(&layers_[static_cast<std::size_t>(first)], static_cast<std::size_t>(count));
    const auto for_each = [&](const auto& draw) {
      for (int64_t i = 0; i < count; ++i) draw(row[static_cast<std::size_t>(i)], kMargin + i * (cell + kHeatGap));
    };
    const int64_t line = Font::small().line_height() + 4;
    for_each([&](const LayerKept& layer, int64_t x) {
      label(x, concat("Layer ", layer.layer, ": ", layer.kept.size(), " of ", layer.total), cell);
    });
    y_ += line;
    if (std::any_of(row.begin(), row.end(), [](const LayerKept& layer) { return !layer.offered.empty(); })) {
      for_each([&](const LayerKept& layer, int64_t x) {
        label(x, concat(layer.offered.size(), " keys and values only"), cell);
      });
      y_ += line;
    }
    for_each([&](const LayerKept& layer, int64_t x) {
      const std::vector<Fate> fates = fates_of(layer);
      draw_views(x, box, &fates, false);
    });
    y_ += box.size.height + kHeatGap;
  }

  const std::vector<HeatView>& views_;
  const std::vector<LayerKept>& layers_;
  const HeatCaption& caption_;
  int64_t count_ = 0;   // Layers that the overlay counts.
  int64_t tokens_ = 0;  // Vision tokens of the image.
  std::vector<int64_t> counts_;
  Image canvas_;
  int64_t y_ = 0;  // Where the next thing is drawn.
};

}  // namespace

std::string ranges(const std::vector<int64_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i;
    while (end + 1 < numbers.size() && numbers[end + 1] == numbers[end] + 1) ++end;
    text += concat(text.empty() ? "" : ", ", numbers[i]);
    if (end > i) text += concat(end == i + 1 ? ", " : "-", numbers[end]);
    i = end + 1;
  }
  return text;
}

Image heat_map(const std::vector<HeatView>& views, const std::vector<LayerKept>& layers, const HeatCaption& caption) {
  check_heat_map(views, layers);
  return Sheet(views, layers, caption).draw();
}

}  // namespace lithe::image
