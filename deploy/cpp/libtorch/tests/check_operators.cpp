// The library's operators in C++ against what Python's gave: each file is a graph without inputs that returns pairs of
// what the operator gives here and what it gave there.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>

#include "program.h"

int main(int count, char** paths) {
  bool same = true;
  for (int i = 1; i < count; ++i) {
    try {
      baimu::Program program(paths[i]);
      const auto found = program.run();
      for (std::size_t pair = 0; pair + 1 < found.size(); pair += 2) {
        const auto &here = found[pair], &there = found[pair + 1];
        float difference = here.shape == there.shape ? 0.F : INFINITY;
        for (std::size_t j = 0; j < std::min(here.values.size(), there.values.size()); ++j)
          difference = std::max(difference, std::isfinite(here.values[j]) ? std::abs(here.values[j] - there.values[j]) : INFINITY);
        std::printf("%s %zu: %zu values, largest difference %.3g\n", paths[i], pair / 2, here.values.size(),
                    static_cast<double>(difference));
        same = same && difference <= 2e-6F;
      }
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 2;
    }
  }
  return same && count > 1 ? 0 : 1;
}
