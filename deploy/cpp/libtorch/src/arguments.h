#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace baimu {

extern const char* const kUsage;

/// What the user asked for.
struct Arguments {
  std::string model;
  std::vector<std::string> images;  // "-": a path a line on standard input
  int batch = 8;
  std::chrono::milliseconds latency{20};
  float score = 0.3F;
  int top = 5;
  int threads = 1;
  std::vector<std::string> operators;
  bool mix_sizes = true;
  bool benchmark = false;

  bool from_stdin() const { return images.size() == 1 && images[0] == "-"; }
};

/// Nothing where help was asked for. Throws an Error for what is not understood.
std::optional<Arguments> parse_arguments(const std::vector<std::string>& words);

}  // namespace baimu
