#pragma once

#include <cstddef>
#include <cstdint>

#include "image.h"

namespace baimu {

/// The orientation 1...8 that an APP1 segment ("Exif" and a TIFF header) asks for; 1 where it says none.
int exif_orientation(const std::uint8_t* data, std::size_t size);

/// The picture as that orientation wants it to be seen.
Image turned(const Image& image, int orientation);

}  // namespace baimu
