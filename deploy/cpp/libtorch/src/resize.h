#pragma once

#include <string>

#include "image.h"

namespace baimu {

/// The image at another size, by "bilinear" or "bicubic" interpolation with antialiasing: byte for byte what Pillow
/// makes, with which models are trained, so that the network sees here what it sees in Python.
Image resized(const Image& image, Size size, const std::string& interpolation);

}  // namespace baimu
