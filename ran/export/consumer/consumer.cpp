// Runs an exported model on its test vectors through onnxruntime's C API and compares what comes out.
//
//   g++ -std=c++17 -O2 -I INCLUDE consumer.cpp -o consumer -L LIB -l:libonnxruntime.so -Wl,-rpath,LIB
//   ./consumer model.onnx vectors [tolerance]
//
// INCLUDE holds onnxruntime_c_api.h, LIB libonnxruntime.so (Debian: libonnxruntime-dev; or onnxruntime's releases). The
// library in the Python package, onnxruntime/capi/libonnxruntime.so.VERSION, serves too: link to it from LIB under the
// names libonnxruntime.so and libonnxruntime.so.1.
// Exit status 0: every output is within tolerance * max(1, largest expected value). 1: it is not. 2: it did not run.
#include <onnxruntime_c_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Tensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::vector<char> bytes;
};

struct Vectors {
  std::vector<Tensor> inputs, outputs;
};

[[noreturn]] void fail(const std::string& text) {
  std::fprintf(stderr, "consumer: %s\n", text.c_str());
  std::exit(2);
}

const OrtApi* api() {
  static const OrtApi* found = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (!found) fail("this libonnxruntime is older than the header");
  return found;
}

void check(OrtStatus* status) {
  if (status) fail(api()->GetErrorMessage(status));
}

ONNXTensorElementDataType type_of(const std::string& dtype) {
  if (dtype == "float32") return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  if (dtype == "float16") return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
  if (dtype == "int32") return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
  fail("unknown dtype " + dtype);
}

// Lines of manifest.txt: input|output, name, dtype, file, sizes; the files are little-endian, last axis first.
Vectors read_vectors(const std::string& folder) {
  std::ifstream manifest(folder + "/manifest.txt");
  if (!manifest) fail("there is no " + folder + "/manifest.txt");
  Vectors found;
  for (std::string line; std::getline(manifest, line);) {
    std::istringstream words(line);
    std::string kind, file;
    Tensor tensor;
    if (!(words >> kind >> tensor.name >> tensor.dtype >> file)) continue;
    for (int64_t size; words >> size;) tensor.shape.push_back(size);
    std::ifstream raw(folder + "/" + file, std::ios::binary);
    if (!raw) fail("there is no " + folder + "/" + file);
    tensor.bytes.assign(std::istreambuf_iterator<char>(raw), {});
    (kind == "input" ? found.inputs : found.outputs).push_back(std::move(tensor));
  }
  return found;
}

OrtValue* wrap(const OrtMemoryInfo* memory, Tensor& tensor) {
  OrtValue* value = nullptr;
  check(api()->CreateTensorWithDataAsOrtValue(memory, tensor.bytes.data(), tensor.bytes.size(), tensor.shape.data(),
                                              tensor.shape.size(), type_of(tensor.dtype), &value));
  return value;
}

// Largest difference from the expected float32 values, and the largest of those.
bool close(const Tensor& expected, OrtValue* value, double tolerance) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  size_t count = 0;
  check(api()->GetTensorTypeAndShape(value, &info));
  check(api()->GetTensorShapeElementCount(info, &count));
  api()->ReleaseTensorTypeAndShapeInfo(info);
  if (count * sizeof(float) != expected.bytes.size()) fail("output " + expected.name + " has another size");
  float* found = nullptr;
  check(api()->GetTensorMutableData(value, reinterpret_cast<void**>(&found)));
  std::vector<float> wanted(count);
  std::memcpy(wanted.data(), expected.bytes.data(), expected.bytes.size());
  double difference = 0, largest = 1;
  for (size_t i = 0; i < count; ++i) {
    const double d = std::fabs(double(found[i]) - wanted[i]);
    difference = std::isfinite(d) ? std::max(difference, d) : HUGE_VAL;
    largest = std::max(largest, std::fabs(double(wanted[i])));
  }
  const bool ok = difference <= tolerance * largest;
  std::printf("%s: %zu values, largest difference %.3g of %.3g: %s\n", expected.name.c_str(), count, difference,
              largest, ok ? "ok" : "TOO LARGE");
  return ok;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) fail("usage: consumer MODEL.onnx VECTORS [TOLERANCE]");
  const double tolerance = argc > 3 ? std::atof(argv[3]) : 1e-4;
  Vectors vectors = read_vectors(argv[2]);
  OrtEnv* env = nullptr;
  OrtSessionOptions* options = nullptr;
  OrtSession* session = nullptr;
  OrtMemoryInfo* memory = nullptr;
  check(api()->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "consumer", &env));
  check(api()->CreateSessionOptions(&options));
  check(api()->SetIntraOpNumThreads(options, 1));
  check(api()->CreateSession(env, argv[1], options, &session));
  check(api()->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));

  std::vector<const char*> input_names, output_names;
  std::vector<OrtValue*> inputs, outputs(vectors.outputs.size(), nullptr);
  for (Tensor& tensor : vectors.inputs) {
    input_names.push_back(tensor.name.c_str());
    inputs.push_back(wrap(memory, tensor));
  }
  for (const Tensor& tensor : vectors.outputs) output_names.push_back(tensor.name.c_str());
  const auto started = std::chrono::steady_clock::now();
  check(api()->Run(session, nullptr, input_names.data(), inputs.data(), inputs.size(), output_names.data(),
                   output_names.size(), outputs.data()));
  const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - started;

  bool ok = true;
  for (size_t i = 0; i < outputs.size(); ++i) ok = close(vectors.outputs[i], outputs[i], tolerance) && ok;
  std::printf("first run: %.3f ms\n", passed.count());
  for (OrtValue* value : inputs) api()->ReleaseValue(value);
  for (OrtValue* value : outputs) api()->ReleaseValue(value);
  api()->ReleaseMemoryInfo(memory);
  api()->ReleaseSession(session);
  api()->ReleaseSessionOptions(options);
  api()->ReleaseEnv(env);
  return ok ? 0 : 1;
}
