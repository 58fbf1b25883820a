#include "benchmark.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>

namespace baimu {
namespace {

constexpr int kWarmUp = 2;      // runs: torch optimises a graph when it has seen it twice
constexpr int kLeast = 3;       // runs that are measured
constexpr double kEnough = 1.0;  // seconds

double seconds_of(BatchModel& model, const std::vector<Prepared>& batch) {
  const auto start = std::chrono::steady_clock::now();
  model.tell(batch);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Prepared noise(const Preprocess& preprocess) {
  Image image(Size{480, 640});
  std::mt19937 draw(0);
  for (std::uint8_t& value : image.pixels) value = static_cast<std::uint8_t>(draw());
  Prepared ready;
  ready.name = "noise";
  ready.frame = frame_of(preprocess, image.size);
  ready.pixels = to_input(image, ready.frame, preprocess);
  return ready;
}

void benchmark(BatchModel& model, const std::vector<Prepared>& images) {
  std::printf("batch  ms a batch  ms an image  images/s\n");
  for (const std::size_t size : {1, 2, 4, 8, 16}) {
    std::vector<Prepared> batch;
    for (std::size_t i = 0; i < size; ++i) batch.push_back(images[i % images.size()]);
    for (int i = 0; i < kWarmUp; ++i) seconds_of(model, batch);
    std::vector<double> times;
    double total = 0;
    while (times.size() < kLeast || total < kEnough) {
      times.push_back(seconds_of(model, batch));
      total += times.back();
    }
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
    const double median = times[times.size() / 2], each = median / static_cast<double>(size);
    std::printf("%5zu  %10.2f  %11.2f  %8.1f\n", size, 1e3 * median, 1e3 * each, 1 / each);
    std::fflush(stdout);
  }
}

}  // namespace baimu
