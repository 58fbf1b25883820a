#pragma once

#include <string>
#include <vector>

namespace baimu {

/// How an image becomes the graph's input: the part of `baimu.preprocess.Preprocess` that comes before normalisation,
/// which is in the graph.
struct Preprocess {
  std::string resize = "shortest";  // shortest, letterbox, stretch, crop, height or none
  std::string interpolation = "bilinear";
  int size = 800;
  int max_size = 1333;
  int pad_to = 32;
  double crop_share = 0.875;
  int width = 0;  // of stretch, where it makes no square
  unsigned char padding[3] = {0, 0, 0};  // RGB: the bytes next to the mean
};

struct Size {
  int height = 0;
  int width = 0;
  bool operator==(const Size& other) const { return height == other.height && width == other.width; }
  bool operator!=(const Size& other) const { return !(*this == other); }
};

/// What an exported file says of its model: `baimu.runtimes.card.Card`.
struct Card {
  std::string task;
  std::vector<std::string> classes;
  Preprocess preprocess;
  std::vector<std::string> outputs;
  bool takes_sizes = false;
  Size fixed_size;  // of the input; 0: a free side

  /// `path` is for the messages of the Errors that it throws.
  static Card parse(const std::string& json, const std::string& path);

  bool has_output(const std::string& name) const;
};

}  // namespace baimu
