#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "batch.h"

namespace baimu {

/// A tensor that came out of a graph, whatever its type was; whole numbers are exact up to 2^24.
struct Array {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

/// A graph in an exported file: TorchScript (.torchscript) or machine code of AOTInductor (.aoti.pt2).
/// The only file that knows torch's headers, besides that of the operators, since they take long to compile.
class Program {
 public:
  /// Throws an Error that names the file for one that is missing, damaged or of another kind.
  explicit Program(const std::string& path);
  ~Program();

  std::vector<Array> run(const Batch& images, bool takes_sizes);

  /// Of a graph without inputs.
  std::vector<Array> run();

  class Graph;

 private:
  std::string path_;
  std::unique_ptr<Graph> graph_;
};

/// The JSON that the exported file `path` says of its model.
std::string read_card(const std::string& path);

/// Make the operators of the shared library `path` known, such as those of torchvision.
void load_operators(const std::string& path);

/// That torch computes with.
void set_threads(int count);

}  // namespace baimu
