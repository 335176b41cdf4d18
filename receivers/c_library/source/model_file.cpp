#include "model_file.h"

#include <cmath>
#include <cstring>

namespace ran6g {
namespace {

constexpr char MAGIC[8] = {'R', 'A', 'N', '6', 'G', 'R', 'X', '\0'};

// The start of a file, and what it says of each array. Little-endian, as the machines this is for.
struct Head {
    char magic[8];
    uint32_t version, num_arrays;
    uint64_t num_bytes, checksum;  // of everything after the head
};
struct Entry {
    char name[40];
    uint32_t type, reserved;  // 0 float32, 1 int32, 2 float64
    uint64_t offset, count;
};
static_assert(sizeof(Head) == 32 && sizeof(Entry) == 64, "the file has no padding");

// CRC-32 as zlib has it: a guard against damage, not against forgery.
uint64_t checksum(const unsigned char *bytes, size_t size) {
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        table[i] = c;
    }
    uint32_t hash = 0xffffffffu;
    for (size_t i = 0; i < size; i++) hash = table[(hash ^ bytes[i]) & 255u] ^ (hash >> 8);
    return hash ^ 0xffffffffu;
}

}  // namespace

ran6g_status ModelFile::open(const unsigned char *bytes, size_t size) {
    Head head;
    if (size < sizeof(Head)) return RAN6G_BAD_FILE;
    std::memcpy(&head, bytes, sizeof(Head));
    if (std::memcmp(head.magic, MAGIC, sizeof(MAGIC)) != 0) return RAN6G_BAD_FILE;
    if (head.version != MODEL_VERSION) return RAN6G_BAD_VERSION;
    if (head.num_bytes != size || head.num_arrays > 1024) return RAN6G_BAD_FILE;
    if (sizeof(Head) + head.num_arrays * sizeof(Entry) > size) return RAN6G_BAD_FILE;
    if (checksum(bytes + sizeof(Head), size - sizeof(Head)) != head.checksum) return RAN6G_BAD_FILE;
    bytes_ = bytes;
    size_ = size;
    num_arrays_ = head.num_arrays;
    return RAN6G_OK;
}

const void *ModelFile::find(const char *name, uint32_t type, size_t item, size_t count, size_t *found) const {
    for (uint32_t i = 0; i < num_arrays_; i++) {
        Entry entry;
        std::memcpy(&entry, bytes_ + sizeof(Head) + i * sizeof(Entry), sizeof(Entry));
        if (std::strncmp(entry.name, name, sizeof(entry.name)) != 0) continue;
        if (entry.type != type || entry.offset % 64 || entry.offset > size_) return nullptr;
        if (entry.count == 0 || entry.count > (size_ - entry.offset) / item) return nullptr;
        if (count && entry.count != count) return nullptr;
        if (found) *found = entry.count;
        return bytes_ + entry.offset;
    }
    return nullptr;
}

const float *ModelFile::floats(const char *name, size_t count, size_t *found) const {
    size_t n = 0;
    auto *values = static_cast<const float *>(find(name, 0, 4, count, &n));
    for (size_t i = 0; values && i < n; i++)
        if (!std::isfinite(values[i])) return nullptr;
    if (found) *found = n;
    return values;
}

const double *ModelFile::doubles(const char *name, size_t count, size_t *found) const {
    size_t n = 0;
    auto *values = static_cast<const double *>(find(name, 2, 8, count, &n));
    for (size_t i = 0; values && i < n; i++)
        if (!std::isfinite(values[i])) return nullptr;
    if (found) *found = n;
    return values;
}

const int32_t *ModelFile::integers(const char *name, size_t count, size_t *found) const {
    return static_cast<const int32_t *>(find(name, 1, 4, count, found));
}

namespace {

bool within(int value, int least, int most) { return least <= value && value <= most; }

}  // namespace

ran6g_status read_layout(const ModelFile &file, Layout &s) {
    const int32_t *config = file.integers("config", 12);
    const double *scalars = file.doubles("scalars", 5);
    if (!config || !scalars) return RAN6G_BAD_FILE;
    const int spacing = config[9], pair_spacing = config[10];
    if (!within(config[0], 0, 2) || !within(config[1], 1, MAX_PRB) || !within(config[2], 1, MAX_RX_ANT) ||
        !within(config[3], 1, MAX_LAYERS) || !within(config[4], 1, MAX_SYMBOLS) || !within(config[5], 2, 8) ||
        config[5] % 2 || !within(config[6], 0, 1) || !within(config[7], 1, MAX_DMRS_SYMBOLS) ||
        !within(config[8], 1, 2) || !within(spacing, 1, 2) || !within(pair_spacing, 4, 6) ||
        !within(config[11], 0, 100))
        return RAN6G_BAD_FILE;
    s.kind = static_cast<Kind>(config[0]);
    s.num_prb = config[1];
    s.num_subcarriers = 12 * s.num_prb;
    s.num_rx = config[2];
    s.num_layers = config[3];
    s.num_symbols = config[4];
    s.bits = config[5];
    s.detector = static_cast<Detector>(config[6]);
    s.num_dmrs_symbols = config[7];
    s.num_adjacent = config[8];
    s.num_iterations = config[11];
    if (s.num_dmrs_symbols % s.num_adjacent) return RAN6G_BAD_FILE;
    s.num_groups = s.num_dmrs_symbols / s.num_adjacent;
    if (s.num_groups > MAX_GROUPS) return RAN6G_BAD_FILE;
    if (12 % pair_spacing) return RAN6G_BAD_FILE;
    s.num_pairs = s.num_subcarriers / pair_spacing;
    s.num_pilots = 2 * s.num_pairs;

    const int32_t *symbols = file.integers("dmrs_symbols", s.num_dmrs_symbols);
    const int32_t *combs = file.integers("comb_of_layer", s.num_layers);
    const int32_t *codes = file.integers("code_of_layer", s.num_layers);
    const int32_t *users = file.integers("layer_to_user", s.num_layers);
    const int32_t *first = file.integers("first_of_comb", 0);
    if (!symbols || !combs || !codes || !users || !first) return RAN6G_BAD_FILE;
    for (int i = 0; i < s.num_dmrs_symbols; i++) {
        if (!within(symbols[i], i ? symbols[i - 1] + 1 : 0, s.num_symbols - 1)) return RAN6G_BAD_FILE;
        s.dmrs_symbols[i] = symbols[i];
    }
    s.num_combs = 0;
    s.shared_user = true;
    for (int i = 0; i < s.num_layers; i++) {
        if (!within(combs[i], 0, s.num_combs) || (codes[i] != 1 && codes[i] != -1)) return RAN6G_BAD_FILE;
        if (!within(users[i], 0, MAX_LAYERS - 1)) return RAN6G_BAD_FILE;
        s.num_combs = combs[i] == s.num_combs ? s.num_combs + 1 : s.num_combs;
        s.comb_of[i] = combs[i];
        s.code_of[i] = codes[i];
        s.user_of[i] = users[i];
        s.shared_user = s.shared_user && users[i] == users[0];
    }
    size_t grid = static_cast<size_t>(s.num_symbols) * s.num_subcarriers;
    const int32_t *pilots = file.integers("pilot_subcarriers", static_cast<size_t>(s.num_combs) * s.num_pilots);
    s.data_mask = file.integers("data_mask", grid);
    s.symbol_times = file.doubles("symbol_times", s.num_symbols);
    s.dmrs = file.floats("dmrs", static_cast<size_t>(s.num_layers) * s.num_dmrs_symbols * s.num_pilots * 2);
    if (!pilots || !s.data_mask || !s.symbol_times || !s.dmrs) return RAN6G_BAD_FILE;
    for (int c = 0; c < s.num_combs; c++) {
        s.pilot_subcarriers[c] = pilots + static_cast<size_t>(c) * s.num_pilots;
        for (int i = 0; i < s.num_pilots; i++)
            if (!within(s.pilot_subcarriers[c][i], 0, s.num_subcarriers - 1)) return RAN6G_BAD_FILE;
    }
    int num_data = 0;
    for (size_t i = 0; i < grid; i++) {
        if (s.data_mask[i] != 0 && s.data_mask[i] != 1) return RAN6G_BAD_FILE;
        num_data += s.data_mask[i];
    }
    if (num_data == 0) return RAN6G_BAD_FILE;
    for (int i = 0; i < s.num_layers * s.num_dmrs_symbols * s.num_pilots; i++)
        if (s.dmrs[2 * i] == 0 && s.dmrs[2 * i + 1] == 0) return RAN6G_BAD_FILE;
    s.subcarrier_spacing_hz = scalars[0];
    s.layer_amplitude = static_cast<float>(scalars[1]);
    s.power_margin = static_cast<float>(scalars[2]);
    s.least_power = static_cast<float>(scalars[3]);
    s.max_cfo_hz = scalars[4];
    if (!(s.subcarrier_spacing_hz >= 1e3 && s.subcarrier_spacing_hz <= 1e7) || !(s.layer_amplitude > 1e-3f) ||
        !(s.layer_amplitude <= 1) || !(s.power_margin > 1e-3f && s.power_margin < 1e3f) ||
        !(s.least_power > 1e-3f && s.least_power < 1e3f) || !(s.max_cfo_hz >= 0 && s.max_cfo_hz <= 1e4))
        return RAN6G_BAD_FILE;
    return RAN6G_OK;
}

}  // namespace ran6g
