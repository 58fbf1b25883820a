#include "preprocess.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "resize.h"

namespace baimu {
namespace {

int half_up(double value) { return static_cast<int>(std::floor(value + 0.5)); }

/// Halves to the even neighbour, as Python's `round`.
int half_even(double value) { return static_cast<int>(std::nearbyint(value)); }

Frame scaled_to(Size source, Size size) {
  const double scale_x = static_cast<double>(size.width) / source.width;
  return {source, size, scale_x, static_cast<double>(size.height) / source.height};
}

/// As torchvision's Resize and CenterCrop round.
Frame middle(const Preprocess& p, Size source) {
  const auto shorter = static_cast<long long>(std::floor(p.size / p.crop_share + 1e-6));
  const int least = std::min(source.height, source.width);
  const Size size{static_cast<int>(shorter * source.height / least), static_cast<int>(shorter * source.width / least)};
  Frame frame = scaled_to(source, size);
  frame.top = -half_even((size.height - p.size) / 2.0);
  frame.left = -half_even((size.width - p.size) / 2.0);
  frame.size = {p.size, p.size};
  return frame;
}

}  // namespace

Frame frame_of(const Preprocess& p, Size source) {
  const double height = source.height, width = source.width;
  if (p.resize == "none") return scaled_to(source, source);
  if (p.resize == "stretch") return scaled_to(source, {p.size, p.width > 0 ? p.width : p.size});
  if (p.resize == "crop") return middle(p, source);
  if (p.resize == "height")
    return scaled_to(source, {p.size, std::min(std::max(1, half_up(width * p.size / height)), p.max_size)});
  double scale = 0;
  if (p.resize == "letterbox")
    scale = p.size / std::max(height, width);
  else if (p.resize == "shortest")
    scale = std::min(p.size / std::min(height, width), p.max_size / std::max(height, width));
  else
    throw Error("resize " + p.resize + " is not known to this program; build a newer one");
  return scaled_to(source, {std::max(1, half_up(height * scale)), std::max(1, half_up(width * scale))});
}

Image to_input(const Image& image, const Frame& frame, const Preprocess& preprocess) {
  const Size whole{half_even(frame.source.height * frame.scale_y), half_even(frame.source.width * frame.scale_x)};
  const Image scaled = resized(image, whole, preprocess.interpolation);
  return cropped(scaled, std::max(0, -frame.top), std::max(0, -frame.left), frame.size);
}

Size batch_size_of(const Preprocess& p, const std::vector<Prepared>& images) {
  Size largest;
  if (p.resize == "letterbox" || p.resize == "crop") largest = {p.size, p.size};
  for (const Prepared& image : images) {
    largest.height = std::max(largest.height, image.frame.size.height);
    largest.width = std::max(largest.width, image.frame.size.width);
  }
  const auto padded = [&p](int side) { return (side + p.pad_to - 1) / p.pad_to * p.pad_to; };
  return {padded(largest.height), padded(largest.width)};
}

Prepared prepare(const std::string& path, const Preprocess& preprocess) {
  Prepared ready;
  ready.name = path;
  try {
    const Image image = read_image(path);
    ready.frame = frame_of(preprocess, image.size);
    ready.pixels = to_input(image, ready.frame, preprocess);
  } catch (const std::exception& error) {
    ready.error = error.what();
  }
  return ready;
}

}  // namespace baimu
