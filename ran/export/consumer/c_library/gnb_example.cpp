// libran6g_receiver behind the two interfaces at which a gNB's upper physical layer calls a PUSCH receiver: a channel
// estimator and a demodulator. Open stacks have them as separate objects; here one object serves both, as the library
// does the work of a slot in one pass. Replace the structures of namespace `gnb` by those of your stack.
//
//   ./gnb_example MODEL VECTORS
//
// Feeds the test vectors through as bfloat16, and compares the descrambled soft bits with those expected. Exit status 0:
// they are equal, or within one step where another compiler rounded otherwise. 1: they are not. 2: it did not run.
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

#include "ran6g_receiver.h"

namespace gnb {

// The received slot as the lower layer hands it over: bfloat16, real and imaginary part in turns.
struct ResourceGrid {
    const uint16_t *values;  // [antenna][symbol][subcarrier][2]
};

struct DmrsConfiguration {
    const float *values;  // [layer][DM-RS symbol][pilot][2], as sent
    size_t count;
};

struct ChannelEstimate {
    std::vector<float> coefficients;  // [antenna][layer][symbol][subcarrier][2]
    float noise_variance, snr_db, time_alignment_s, cfo_hz;
};

class PuschChannelEstimator {
  public:
    virtual ~PuschChannelEstimator() = default;
    virtual bool estimate(ChannelEstimate &out, const ResourceGrid &grid, const DmrsConfiguration &dmrs) = 0;
};

struct DemodulatorConfiguration {
    std::vector<uint32_t> c_init;      // per user: start of the scrambling sequence, n_rnti * 2^15 + n_id
    std::vector<uint32_t> layer_user;  // per layer: whose it is
};

class PuschDemodulator {
  public:
    virtual ~PuschDemodulator() = default;
    // Soft bits after descrambling, [data RE][layer][bit]: positive means bit 0.
    virtual bool demodulate(std::vector<int8_t> &soft_bits, const ResourceGrid &grid, const ChannelEstimate &estimate,
                            const DemodulatorConfiguration &configuration) = 0;
};

}  // namespace gnb

namespace {

// The pseudo-random sequence of TS 38.211 section 5.2.1, one bit at a time.
class ScramblingSequence {
  public:
    explicit ScramblingSequence(uint32_t c_init) : first_(1), second_(c_init) {
        for (int i = 0; i < 1600; i++) next();
    }
    uint32_t next() {
        uint32_t bit = (first_ ^ second_) & 1u;
        uint32_t a = (first_ >> 3 ^ first_) & 1u;
        uint32_t b = (second_ >> 3 ^ second_ >> 2 ^ second_ >> 1 ^ second_) & 1u;
        first_ = first_ >> 1 | a << 30;
        second_ = second_ >> 1 | b << 30;
        return bit;
    }

  private:
    uint32_t first_, second_;
};

// Both interfaces over one receiver of the library. All memory is there before the first slot.
class Ran6gPusch final : public gnb::PuschChannelEstimator, public gnb::PuschDemodulator {
  public:
    Ran6gPusch() = default;
    Ran6gPusch(const Ran6gPusch &) = delete;
    Ran6gPusch &operator=(const Ran6gPusch &) = delete;
    ~Ran6gPusch() override { ran6g_destroy(receiver_); }

    // The soft bits of the stack's decoder: int8 within +-120.
    ran6g_status open(const char *model) {
        ran6g_options options;
        ran6g_default_options(&options);
        options.llr_format = RAN6G_LLR_INT8;
        options.llr_max = 120;
        ran6g_status status = ran6g_create(model, &options, &receiver_);
        if (status != RAN6G_OK) return status;
        about_.struct_size = sizeof(about_);
        ran6g_describe(receiver_, &about_);
        soft_bits_.resize(static_cast<size_t>(about_.num_data_re) * about_.num_layers * about_.bits_per_symbol);
        return RAN6G_OK;
    }

    const ran6g_description &about() const { return about_; }

    // One call of the library: what the estimator's caller reads at once, and the soft bits for the demodulator.
    bool estimate(gnb::ChannelEstimate &out, const gnb::ResourceGrid &grid, const gnb::DmrsConfiguration &dmrs) override {
        out.coefficients.resize(2 * static_cast<size_t>(about_.num_rx_ant) * about_.num_layers * about_.num_symbols *
                                about_.num_subcarriers);
        ran6g_slot slot = {};
        slot.struct_size = sizeof(slot);
        slot.grid_format = RAN6G_GRID_BFLOAT16;
        slot.grid = grid.values;
        slot.dmrs = dmrs.values;
        slot.num_dmrs = dmrs.count;
        slot.noise_var = noise_var_;
        ran6g_output output = {};
        output.struct_size = sizeof(output);
        output.channel = out.coefficients.data();
        output.llr = soft_bits_.data();
        if (ran6g_process(receiver_, &slot, &output) != RAN6G_OK) return false;
        out.noise_variance = output.noise_var;
        out.snr_db = output.sinr_db;
        out.time_alignment_s = output.timing_s;
        out.cfo_hz = output.cfo_hz;
        return true;
    }

    bool demodulate(std::vector<int8_t> &soft_bits, const gnb::ResourceGrid &, const gnb::ChannelEstimate &,
                    const gnb::DemodulatorConfiguration &configuration) override {
        // the bits of a user's codeword go through its layers symbol by symbol
        std::vector<ScramblingSequence> sequences;
        for (uint32_t c_init : configuration.c_init) sequences.emplace_back(c_init);
        soft_bits = soft_bits_;
        size_t at = 0;
        for (uint32_t re = 0; re < about_.num_data_re; re++)
            for (uint32_t layer = 0; layer < about_.num_layers; layer++)
                for (uint32_t bit = 0; bit < about_.bits_per_symbol; bit++, at++)
                    if (sequences[configuration.layer_user[layer]].next())
                        soft_bits[at] = static_cast<int8_t>(-soft_bits[at]);
        return true;
    }

    // For receivers that do not measure the noise: what the stack knows of it.
    void set_noise_var(float noise_var) { noise_var_ = noise_var; }

  private:
    ran6g_receiver *receiver_ = nullptr;
    ran6g_description about_ = {};
    std::vector<int8_t> soft_bits_;
    float noise_var_ = 0;
};

// A tensor of the vectors, by its line in manifest.txt: input|output, name, dtype, file, sizes.
template <class T> std::vector<T> tensor(const std::string &folder, const std::string &name) {
    std::ifstream manifest(folder + "/manifest.txt");
    for (std::string line; std::getline(manifest, line);) {
        std::istringstream words(line);
        std::string kind, found, dtype, file;
        if (!(words >> kind >> found >> dtype >> file) || found != name) continue;
        std::ifstream raw(folder + "/" + file, std::ios::binary);
        std::vector<char> bytes((std::istreambuf_iterator<char>(raw)), {});
        std::vector<T> out(bytes.size() / sizeof(T));
        std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
        return out;
    }
    std::fprintf(stderr, "gnb_example: %s/manifest.txt has no %s\n", folder.c_str(), name.c_str());
    std::exit(2);
}

}  // namespace

int main(int argc, char **argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: gnb_example MODEL VECTORS\n");
        return 2;
    }
    Ran6gPusch pusch;
    ran6g_status status = pusch.open(argv[1]);
    if (status != RAN6G_OK) {
        std::fprintf(stderr, "gnb_example: %s: %s\n", argv[1], ran6g_status_text(status));
        return 2;
    }
    const std::string folder = argv[2];
    auto grids = tensor<uint16_t>(folder, "grid_bf16");
    auto noise = tensor<float>(folder, "noise_var");
    auto dmrs = tensor<float>(folder, "dmrs");
    auto expected = tensor<int8_t>(folder, "descrambled");
    auto most_steps = tensor<uint32_t>(folder, "most_steps");
    gnb::DemodulatorConfiguration configuration;
    configuration.c_init = tensor<uint32_t>(folder, "c_init");
    configuration.layer_user = tensor<uint32_t>(folder, "layer_to_user");
    const ran6g_description &about = pusch.about();
    const size_t size = 2 * static_cast<size_t>(about.num_rx_ant) * about.num_symbols * about.num_subcarriers;

    gnb::PuschChannelEstimator &estimator = pusch;
    gnb::PuschDemodulator &demodulator = pusch;
    gnb::ChannelEstimate estimate;
    std::vector<int8_t> soft_bits;
    int worst = 0;
    size_t compared = 0;
    for (size_t v = 0; v < noise.size(); v++) {
        gnb::ResourceGrid grid = {grids.data() + v * size};
        pusch.set_noise_var(noise[v]);
        if (!estimator.estimate(estimate, grid, {dmrs.data(), dmrs.size()}) ||
            !demodulator.demodulate(soft_bits, grid, estimate, configuration)) {
            std::fprintf(stderr, "gnb_example: slot %zu is refused\n", v);
            return 2;
        }
        for (size_t i = 0; i < soft_bits.size(); i++, compared++) {
            int difference = std::abs(soft_bits[i] - expected[v * soft_bits.size() + i]);
            worst = difference > worst ? difference : worst;
        }
        std::printf("slot %zu: SNR %.1f dB, noise %.3g, time alignment %.0f ns, CFO %.0f Hz\n", v, estimate.snr_db,
                    estimate.noise_variance, 1e9 * estimate.time_alignment_s, estimate.cfo_hz);
    }
    std::printf("%zu soft bits after descrambling, largest difference %d\n", compared, worst);
    return worst > static_cast<int>(most_steps.at(0));
}
