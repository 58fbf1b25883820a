#pragma once

#include <string>
#include <vector>

#include "card.h"
#include "image.h"

namespace baimu {

/// Where an image lies in the network's input: x_input = x_source * scale_x + left. `left` and `top` are negative where
/// a crop cut that much away.
struct Frame {
  Size source;
  Size size;  // of its picture inside the input, padding not counted
  double scale_x = 1;
  double scale_y = 1;
  int left = 0;
  int top = 0;
};

/// An image, read and resized.
struct Prepared {
  std::string name;
  Frame frame;
  Image pixels;      // of frame.size
  std::string error;  // why there are no pixels; empty: there are
};

Frame frame_of(const Preprocess& preprocess, Size source);

/// The part of `image` that the network gets, at its input size without padding.
Image to_input(const Image& image, const Frame& frame, const Preprocess& preprocess);

/// Height and width of the padded batch that holds all of them.
Size batch_size_of(const Preprocess& preprocess, const std::vector<Prepared>& images);

/// Reads the file `path` and makes it ready; what is wrong with it stands in `error`.
Prepared prepare(const std::string& path, const Preprocess& preprocess);

}  // namespace baimu
