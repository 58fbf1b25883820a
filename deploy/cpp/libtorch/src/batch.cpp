#include "batch.h"

#include <cstring>
#include <utility>

#include "error.h"

namespace baimu {
namespace {

std::string text(Size size) {
  const auto side = [](int pixels) { return pixels == 0 ? "any" : std::to_string(pixels); };
  return side(size.height) + "x" + side(size.width);
}

bool takes(Size fixed, Size size) {
  return (fixed.height == 0 || fixed.height == size.height) && (fixed.width == 0 || fixed.width == size.width);
}

}  // namespace

Batch collate(const std::vector<Prepared>& images, const Card& card) {
  Batch batch;
  batch.count = static_cast<std::int64_t>(images.size());
  batch.size = batch_size_of(card.preprocess, images);
  if (!takes(card.fixed_size, batch.size))
    throw Error("the graph takes images of " + text(card.fixed_size) + " pixels (height x width), got " +
                text(batch.size) + "; export it with a free size, or with size=");
  const std::size_t row_bytes = 3 * static_cast<std::size_t>(batch.size.width);
  const std::size_t image_bytes = row_bytes * static_cast<std::size_t>(batch.size.height);
  batch.pixels.assign(images.size() * image_bytes, 0);
  if (!card.takes_sizes)  // a graph that is not told what is padding normalises these to nearly 0
    for (std::size_t i = 0; i < batch.pixels.size(); ++i) batch.pixels[i] = card.preprocess.padding[i % 3];
  for (std::size_t i = 0; i < images.size(); ++i) {
    const Image& image = images[i].pixels;
    for (int row = 0; row < image.size.height; ++row)
      std::memcpy(batch.pixels.data() + i * image_bytes + static_cast<std::size_t>(row) * row_bytes, image.at(row, 0),
                  3 * static_cast<std::size_t>(image.size.width));
    batch.sizes.push_back(image.size.height);
    batch.sizes.push_back(image.size.width);
  }
  return batch;
}

std::vector<std::vector<Prepared>> parts_of_equal_size(std::vector<Prepared> images) {
  std::vector<std::vector<Prepared>> parts;
  for (Prepared& image : images) {
    if (parts.empty() || parts.back().back().frame.size != image.frame.size) parts.emplace_back();
    parts.back().push_back(std::move(image));
  }
  return parts;
}

}  // namespace baimu
