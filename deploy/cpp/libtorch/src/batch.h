#pragma once

#include <cstdint>
#include <vector>

#include "card.h"
#include "preprocess.h"

namespace baimu {

/// Several images as one input of a graph: RGB bytes (B, H, W, 3), padded at the right and bottom.
struct Batch {
  std::int64_t count = 0;
  Size size;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> sizes;  // (B, 2): height and width of what is not padding
};

/// Throws an Error where the graph's one size is another.
Batch collate(const std::vector<Prepared>& images, const Card& card);

/// The images, in order, in parts: a new one begins where the input size changes.
std::vector<std::vector<Prepared>> parts_of_equal_size(std::vector<Prepared> images);

}  // namespace baimu
