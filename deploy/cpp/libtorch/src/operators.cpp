// The library's own operators, of which an exported graph may consist besides torch's: what baimu/ops/nms.py,
// baimu/ops/roi.py and baimu/layers/ragged.py compute without gradients, on a CPU.

#include <ATen/Parallel.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/lstm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace baimu {
namespace {

using at::Tensor;

double intersection_over_union(const double* a, const double* b) {
  const double width = std::max(0.0, std::min(a[2], b[2]) - std::max(a[0], b[0]));
  const double height = std::max(0.0, std::min(a[3], b[3]) - std::max(a[1], b[1]));
  const double shared = width * height;
  return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared);
}

/// Scores (B, N) with those of suppressed candidates set to 0: greedy, within the group, the better first and of equal
/// ones the earlier. Scores <= 0 and boxes that are not finite do not take part. In float64, as in Python, where an IoU
/// of exactly 3/5 is not above 0.6.
Tensor keep_best(const Tensor& boxes, const Tensor& scores, const Tensor& groups, double iou_threshold) {
  const Tensor corners = boxes.to(at::kDouble).contiguous(), values = scores.to(at::kDouble).contiguous();
  const Tensor group = groups.to(at::kLong).contiguous();
  const Tensor real = scores.gt(0).logical_and(at::isfinite(boxes.sum(-1))).contiguous();
  const Tensor kept = at::zeros_like(real);
  const std::int64_t count = scores.size(1);

  at::parallel_for(0, scores.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(count)), best;
    for (std::int64_t image = begin; image < end; ++image) {
      const double* box = corners.const_data_ptr<double>() + image * count * 4;
      const double* score = values.const_data_ptr<double>() + image * count;
      const std::int64_t* of = group.const_data_ptr<std::int64_t>() + image * count;
      const bool* takes_part = real.const_data_ptr<bool>() + image * count;
      bool* keep = kept.data_ptr<bool>() + image * count;
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [score](auto a, auto b) { return score[a] > score[b]; });
      best.clear();
      for (const std::int64_t one : order) {
        if (!takes_part[one]) continue;
        keep[one] = std::none_of(best.begin(), best.end(), [&](std::int64_t other) {
          return of[other] == of[one] && intersection_over_union(box + 4 * other, box + 4 * one) > iou_threshold;
        });
        if (keep[one]) best.push_back(one);
      }
    }
  });
  return scores.masked_fill(kept.logical_not(), 0);
}

/// A sampling point along one axis: the two cells around it and their weights.
struct Point {
  std::int64_t low, high;
  float low_weight, high_weight;
};

/// The points of all bins along one axis. More than one cell outside the map weighs nothing.
void place(std::vector<Point>& points, float start, float size, std::int64_t bins, std::int64_t a_bin, std::int64_t limit) {
  points.clear();
  const float step = size / static_cast<float>(bins);
  for (std::int64_t bin = 0; bin < bins; ++bin) {
    for (std::int64_t i = 0; i < a_bin; ++i) {
      const float share = (static_cast<float>(i) + 0.5F) / static_cast<float>(a_bin);
      float at = start + (static_cast<float>(bin) + share) * step;
      const float inside = at >= -1 && at <= static_cast<float>(limit) ? 1.F : 0.F;
      at = std::clamp(at, 0.F, static_cast<float>(limit - 1));
      const auto low = static_cast<std::int64_t>(at);
      const float part = at - static_cast<float>(low);
      points.push_back({low, std::min(low + 1, limit - 1), (1 - part) * inside, part * inside});
    }
  }
}

/// One level of the pyramid, channels last: a cell's channels lie side by side.
struct Level {
  Tensor cells;  // (B, H, W, C)
  float scale;

  const float* at(std::int64_t image, std::int64_t row, std::int64_t column) const {
    return cells.const_data_ptr<float>() + ((image * cells.size(1) + row) * cells.size(2) + column) * cells.size(3);
  }
};

struct Sampling {
  std::int64_t bins, ratio;
  bool aligned;

  /// Points a bin along an axis; a RoI without extent has none, and pools to 0.
  std::int64_t points(float size) const {
    if (ratio > 0) return ratio;
    const float cells = std::ceil(size / static_cast<float>(bins));
    return cells > 0 ? static_cast<std::int64_t>(cells) : 0;
  }
};

/// Adds `weight` times a cell to the sums of its channels.
void add(float* sums, const float* cell, float weight, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) sums[c] += weight * cell[c];
}

/// One RoI into `pooled` (bins, bins, C), which is zero.
void pool(float* pooled, const float* roi, const Level& level, std::int64_t image, const Sampling& sampling,
          std::vector<Point>& xs, std::vector<Point>& ys) {
  const float shift = sampling.aligned ? 0.5F : 0.F;
  const float x = roi[0] * level.scale - shift, y = roi[1] * level.scale - shift;
  float width = roi[2] * level.scale - shift - x, height = roi[3] * level.scale - shift - y;
  if (!sampling.aligned) {
    width = std::max(width, 1.F);
    height = std::max(height, 1.F);
  }
  const std::int64_t across = sampling.points(width), down = sampling.points(height);
  if (across == 0 || down == 0) return;
  place(xs, x, width, sampling.bins, across, level.cells.size(2));
  place(ys, y, height, sampling.bins, down, level.cells.size(1));
  const std::int64_t channels = level.cells.size(3);
  const float share = 1.F / static_cast<float>(across * down);
  for (std::size_t i = 0; i < ys.size(); ++i) {
    const Point& v = ys[i];
    const float top = v.low_weight * share, bottom = v.high_weight * share;
    const std::int64_t bin_row = static_cast<std::int64_t>(i) / down * sampling.bins;
    for (std::size_t j = 0; j < xs.size(); ++j) {
      const Point& h = xs[j];
      float* sums = pooled + (bin_row + static_cast<std::int64_t>(j) / across) * channels;
      add(sums, level.at(image, v.low, h.low), top * h.low_weight, channels);
      add(sums, level.at(image, v.low, h.high), top * h.high_weight, channels);
      add(sums, level.at(image, v.high, h.low), bottom * h.low_weight, channels);
      add(sums, level.at(image, v.high, h.high), bottom * h.high_weight, channels);
    }
  }
}

/// Features (B, R, C, S, S) of RoIs (B, R, 4) in input pixels, each from its level, by bilinear sampling averaged over bins.
Tensor roi_align(at::TensorList features, const Tensor& rois, const Tensor& levels, at::ArrayRef<double> strides,
                 std::int64_t output_size, std::int64_t sampling_ratio, bool aligned) {
  TORCH_CHECK(features.size() == strides.size(), features.size(), " levels, but ", strides.size(), " strides");
  std::vector<Level> pyramid;
  for (std::size_t i = 0; i < features.size(); ++i)
    pyramid.push_back({features[i].to(at::kFloat).permute({0, 2, 3, 1}).contiguous(), 1.F / static_cast<float>(strides[i])});
  const Tensor boxes = rois.to(at::kFloat).contiguous(), level = levels.to(at::kLong).contiguous();
  const std::int64_t count = rois.size(1), channels = features[0].size(1);
  const Sampling sampling{output_size, sampling_ratio, aligned};
  const Tensor pooled = at::zeros({rois.size(0), count, output_size, output_size, channels}, boxes.options());

  at::parallel_for(0, rois.size(0) * count, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<Point> xs, ys;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t of = level.const_data_ptr<std::int64_t>()[i];
      TORCH_CHECK(of >= 0 && of < static_cast<std::int64_t>(pyramid.size()), "there is no level ", of);
      pool(pooled.data_ptr<float>() + i * output_size * output_size * channels, boxes.const_data_ptr<float>() + 4 * i,
           pyramid[static_cast<std::size_t>(of)], i / count, sampling, xs, ys);
    }
  });
  return pooled.permute({0, 1, 4, 2, 3}).to(features[0].scalar_type()).contiguous();
}

/// The states (B, T, D) of an LSTM of one layer and direction that reads a sequence (B, T, C).
Tensor lstm(const Tensor& sequence, at::TensorList weights) {
  TORCH_CHECK(weights.size() == 4, "an LSTM has two matrices and two biases, got ", weights.size(), " weights");
  const Tensor state = at::zeros({1, sequence.size(0), weights[1].size(1)}, sequence.options());
  return std::get<0>(at::lstm(sequence, {state, state}, weights, true, 1, 0.0, false, false, true)).contiguous();
}

}  // namespace

TORCH_LIBRARY(baimu, library) {
  library.def("keep_best(Tensor boxes, Tensor scores, Tensor groups, float iou_threshold) -> Tensor");
  library.def(
      "roi_align(Tensor[] features, Tensor rois, Tensor levels, float[] strides, int output_size, int sampling_ratio, "
      "bool aligned) -> Tensor");
  library.def("lstm(Tensor sequence, Tensor[] weights) -> Tensor");
}

TORCH_LIBRARY_IMPL(baimu, CPU, library) {
  library.impl("keep_best", keep_best);
  library.impl("roi_align", roi_align);
  library.impl("lstm", lstm);
}

}  // namespace baimu
