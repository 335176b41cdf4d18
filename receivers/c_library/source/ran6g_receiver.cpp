// The C interface: checks everything that is handed over, then lets the estimator and the detector work.
#include "ran6g_receiver.h"

#include <cstdio>
#include <new>

#include "blind.h"
#include "detect.h"
#include "lmmse.h"
#include "pointwise.h"
#include "soft_pilots.h"

using namespace ran6g;

struct ran6g_receiver {
    ran6g_options options;
    unsigned char *file = nullptr;
    Arena arena;
    Layout layout;
    Lmmse lmmse;
    Blind blind;
    SoftPilots soft_pilots;
    Estimator *estimator = nullptr;
    Threads threads;
    DataRow rows[MAX_SYMBOLS];
    int num_data_re = 0;
    Work *work = nullptr;     // [thread]
    SinrSums *sums = nullptr;  // [block]: added up in their order, whichever thread they come from
    // of the slot in work
    Grid grid;
    Estimate estimate;
    Wanted wanted;
    bool detects = false;
    std::atomic_flag in_use = ATOMIC_FLAG_INIT;
};

namespace {

void lay_out_data(ran6g_receiver &r) {
    const Layout &s = r.layout;
    int start = 0;
    for (int symbol = 0; symbol < s.num_symbols; symbol++) {
        const int32_t *mask = s.data_mask + static_cast<size_t>(symbol) * s.num_subcarriers;
        int count = 0;
        for (int k = 0; k < s.num_subcarriers; k++) count += mask[k];
        int32_t *before = nullptr;
        if (count && count < s.num_subcarriers) {
            before = r.arena.array<int32_t>(s.num_subcarriers);
            for (int k = 0, n = 0; before && k < s.num_subcarriers; k++) {
                before[k] = n;
                n += mask[k];
            }
        }
        r.rows[symbol] = {start, count, before, mask};
        start += count;
    }
    r.num_data_re = start;
}

ran6g_status build(ran6g_receiver &r, size_t size) {
    ModelFile file;
    ran6g_status status = file.open(r.file, size);
    if (status == RAN6G_OK) status = read_layout(file, r.layout);
    if (status != RAN6G_OK) return status;
    switch (r.layout.kind) {
        case Kind::lmmse: r.estimator = &r.lmmse; break;
        case Kind::blind: r.estimator = &r.blind; break;
        case Kind::soft_pilots: r.estimator = &r.soft_pilots; break;
    }
    r.blind.set_threads(static_cast<int>(r.options.num_threads));
    r.soft_pilots.set_threads(static_cast<int>(r.options.num_threads));
    for (int pass = 0; pass < 2; pass++) {
        if (pass && !r.arena.allocate()) return RAN6G_OUT_OF_MEMORY;
        status = r.estimator->open(file, r.layout, r.arena);
        if (status != RAN6G_OK) return status;
        lay_out_data(r);
        r.work = r.arena.array<Work>(r.options.num_threads);
        r.sums = r.arena.array<SinrSums>(r.estimator->num_blocks());
    }
    if (!r.threads.start(static_cast<int>(r.options.num_threads) - 1)) return RAN6G_OUT_OF_MEMORY;
    return RAN6G_OK;
}

ran6g_status check_options(const ran6g_options *given, ran6g_options *options) {
    ran6g_default_options(options);
    if (!given) return RAN6G_OK;
    if (given->struct_size != sizeof(ran6g_options)) return RAN6G_BAD_STRUCT;
    *options = *given;
    if (options->num_threads < 1 || options->num_threads > MAX_THREADS || options->llr_format > RAN6G_LLR_INT8 ||
        options->llr_max < 1 || options->llr_max > 127 || !(options->llr_scale > 1e-6f && options->llr_scale < 1e6f))
        return RAN6G_BAD_OPTION;
    return RAN6G_OK;
}

// Takes over `bytes`, which come from malloc.
ran6g_status create(unsigned char *bytes, size_t size, const ran6g_options &options, ran6g_receiver **receiver) {
    void *memory = std::malloc(sizeof(ran6g_receiver));
    if (!memory) {
        std::free(bytes);
        return RAN6G_OUT_OF_MEMORY;
    }
    auto *r = new (memory) ran6g_receiver;
    r->options = options;
    r->file = bytes;
    ran6g_status status = build(*r, size);
    if (status != RAN6G_OK) {
        ran6g_destroy(r);
        return status;
    }
    *receiver = r;
    return RAN6G_OK;
}

bool aligned(const void *pointer, size_t to) { return reinterpret_cast<uintptr_t>(pointer) % to == 0; }

ran6g_status check_slot(const ran6g_receiver &r, const ran6g_slot &slot, Grid *grid) {
    const Layout &s = r.layout;
    if (slot.struct_size != sizeof(ran6g_slot)) return RAN6G_BAD_STRUCT;
    if (!slot.grid) return RAN6G_NULL_POINTER;
    if (slot.grid_format > RAN6G_GRID_BFLOAT16) return RAN6G_BAD_VALUE;
    grid->data = slot.grid;
    grid->is_bf16 = slot.grid_format == RAN6G_GRID_BFLOAT16;
    if (!aligned(slot.grid, grid->is_bf16 ? 2 : 4)) return RAN6G_BAD_VALUE;
    const size_t largest = size_t{1} << 32, row = static_cast<size_t>(s.num_subcarriers);
    grid->symbol_stride = slot.symbol_stride ? slot.symbol_stride : row;
    grid->antenna_stride = slot.antenna_stride ? slot.antenna_stride : grid->symbol_stride * s.num_symbols;
    if (grid->symbol_stride < row || grid->symbol_stride > largest || grid->antenna_stride < row ||
        grid->antenna_stride > largest)
        return RAN6G_BAD_SIZE;
    const size_t num_dmrs = static_cast<size_t>(s.num_layers) * s.num_dmrs_symbols * s.num_pilots * 2;
    grid->dmrs = s.dmrs;
    if (slot.dmrs) {
        if (slot.num_dmrs != num_dmrs) return RAN6G_BAD_SIZE;
        if (!aligned(slot.dmrs, 4)) return RAN6G_BAD_VALUE;
        for (size_t i = 0; i < num_dmrs; i += 2) {
            float power = slot.dmrs[i] * slot.dmrs[i] + slot.dmrs[i + 1] * slot.dmrs[i + 1];
            if (!std::isfinite(power)) return RAN6G_NOT_FINITE;
            if (!(power > 1e-12f && power < 1e12f)) return RAN6G_BAD_VALUE;
        }
        grid->dmrs = slot.dmrs;
    } else if (slot.num_dmrs) {
        return RAN6G_NULL_POINTER;
    }
    grid->factor = 1;
    float most = 0;
    if (!largest_entry(s, *grid, &most)) return RAN6G_NOT_FINITE;
    if (most > 0) {
        int exponent = 0;
        std::frexp(most, &exponent);
        grid->factor = std::ldexp(1.0f, -(exponent < -126 ? -126 : exponent));
    }
    grid->noise_var = 0;
    if (s.kind == Kind::lmmse) {
        if (!std::isfinite(slot.noise_var)) return RAN6G_NOT_FINITE;
        if (!(slot.noise_var > 0)) return RAN6G_BAD_VALUE;
        // beside entries near 1, less is nothing and more is noise alone
        float noise = slot.noise_var * grid->factor * grid->factor;
        grid->noise_var = noise < 1e-24f ? 1e-24f : noise > 1e24f ? 1e24f : noise;
    }
    return RAN6G_OK;
}

ran6g_status check_output(const ran6g_receiver &r, const ran6g_output &output, Wanted *wanted) {
    if (output.struct_size != sizeof(ran6g_output)) return RAN6G_BAD_STRUCT;
    if (output.reserved) return RAN6G_BAD_VALUE;
    const size_t sizes[] = {4, 2, 1};
    if (!aligned(output.channel, 4) || !aligned(output.error_var, 4) || !aligned(output.symbols, 4) ||
        !aligned(output.symbol_noise, 4) || !aligned(output.llr, sizes[r.options.llr_format]))
        return RAN6G_BAD_VALUE;
    *wanted = {output.channel, output.error_var, output.symbols, output.symbol_noise, output.llr,
               static_cast<int>(r.options.llr_format), r.options.llr_max, r.options.llr_scale};
    return RAN6G_OK;
}

void work_on_block(void *context, int index, int thread) {
    ran6g_receiver &r = *static_cast<ran6g_receiver *>(context);
    Work &work = r.work[thread];
    Block block = r.estimator->block(index);
    work.sums = {};
    if (r.layout.kind == Kind::soft_pilots) {
        if (r.wanted.channel || r.wanted.error_var) r.soft_pilots.write(r.grid, block, r.wanted);
        if (r.detects) r.soft_pilots.detect(block, r.rows, r.wanted, work);
        r.sums[index] = work.sums;
        return;
    }
    r.estimator->channel(block, work.channel);
    if (r.wanted.channel || r.wanted.error_var) write_channel(r.layout, r.grid, r.estimate, block, r.wanted, work);
    if (!r.detects) return;
    detect_block(r.layout, r.grid, r.estimate, block, r.rows, r.wanted, work);
    r.sums[index] = work.sums;
}

float decibels(double ratio) { return static_cast<float>(10 * std::log10(ratio)); }

}  // namespace

extern "C" {

uint32_t ran6g_abi_version(void) { return RAN6G_ABI_VERSION; }

const char *ran6g_status_text(ran6g_status status) {
    switch (status) {
        case RAN6G_OK: return "no error";
        case RAN6G_NULL_POINTER: return "a pointer that must be given is NULL";
        case RAN6G_BAD_STRUCT: return "struct_size is not that of this version of the interface";
        case RAN6G_BAD_FILE: return "the model file cannot be read, is cut off, changed, or contradicts itself";
        case RAN6G_BAD_VERSION: return "the model file is of another version";
        case RAN6G_BAD_OPTION: return "an option is out of its range";
        case RAN6G_BAD_SIZE: return "a stride or a number of values does not fit the model";
        case RAN6G_NOT_FINITE: return "the grid, the DM-RS or the noise variance holds a NaN or an infinity";
        case RAN6G_BAD_VALUE: return "a value, a format or the alignment of a pointer is not allowed";
        case RAN6G_OUT_OF_MEMORY: return "there is not enough memory, or no more threads";
        case RAN6G_BUSY: return "another thread is using this receiver";
    }
    return "not a code of this library";
}

ran6g_status ran6g_default_options(ran6g_options *options) {
    if (!options) return RAN6G_NULL_POINTER;
    *options = {sizeof(ran6g_options), 1, RAN6G_LLR_INT8, 127, 8.0f};
    return RAN6G_OK;
}

ran6g_status ran6g_create_from_memory(const void *model, size_t num_bytes, const ran6g_options *given,
                                      ran6g_receiver **receiver) {
    if (!receiver) return RAN6G_NULL_POINTER;
    *receiver = nullptr;
    if (!model) return RAN6G_NULL_POINTER;
    ran6g_options options;
    ran6g_status status = check_options(given, &options);
    if (status != RAN6G_OK) return status;
    if (num_bytes > (size_t{1} << 31)) return RAN6G_BAD_FILE;
    auto *bytes = static_cast<unsigned char *>(std::aligned_alloc(64, (num_bytes + 64) / 64 * 64));
    if (!bytes) return RAN6G_OUT_OF_MEMORY;
    std::memcpy(bytes, model, num_bytes);
    return create(bytes, num_bytes, options, receiver);
}

ran6g_status ran6g_create(const char *path, const ran6g_options *given, ran6g_receiver **receiver) {
    if (!receiver) return RAN6G_NULL_POINTER;
    *receiver = nullptr;
    if (!path) return RAN6G_NULL_POINTER;
    ran6g_options options;
    ran6g_status status = check_options(given, &options);
    if (status != RAN6G_OK) return status;
    std::FILE *file = std::fopen(path, "rb");
    if (!file) return RAN6G_BAD_FILE;
    long size = std::fseek(file, 0, SEEK_END) == 0 ? std::ftell(file) : -1;
    if (size < 0 || size > (1L << 31) || std::fseek(file, 0, SEEK_SET) != 0) {
        std::fclose(file);
        return RAN6G_BAD_FILE;
    }
    auto *bytes = static_cast<unsigned char *>(std::aligned_alloc(64, (static_cast<size_t>(size) + 64) / 64 * 64));
    if (!bytes) {
        std::fclose(file);
        return RAN6G_OUT_OF_MEMORY;
    }
    size_t got = std::fread(bytes, 1, static_cast<size_t>(size), file);
    std::fclose(file);
    if (got != static_cast<size_t>(size)) {
        std::free(bytes);
        return RAN6G_BAD_FILE;
    }
    return create(bytes, got, options, receiver);
}

ran6g_status ran6g_describe(const ran6g_receiver *receiver, ran6g_description *description) {
    if (!receiver || !description) return RAN6G_NULL_POINTER;
    if (description->struct_size != sizeof(ran6g_description)) return RAN6G_BAD_STRUCT;
    const Layout &s = receiver->layout;
    ran6g_description out = {};
    out.struct_size = sizeof(ran6g_description);
    out.num_prb = static_cast<uint32_t>(s.num_prb);
    out.num_rx_ant = static_cast<uint32_t>(s.num_rx);
    out.num_layers = static_cast<uint32_t>(s.num_layers);
    out.num_symbols = static_cast<uint32_t>(s.num_symbols);
    out.num_subcarriers = static_cast<uint32_t>(s.num_subcarriers);
    out.bits_per_symbol = static_cast<uint32_t>(s.bits);
    out.num_data_re = static_cast<uint32_t>(receiver->num_data_re);
    out.num_dmrs_symbols = static_cast<uint32_t>(s.num_dmrs_symbols);
    out.num_dmrs_values = static_cast<uint32_t>(s.num_pilots);
    for (int i = 0; i < s.num_dmrs_symbols; i++) out.dmrs_symbols[i] = static_cast<uint32_t>(s.dmrs_symbols[i]);
    out.needs_noise_var = s.kind == Kind::lmmse;
    out.subcarrier_spacing_hz = s.subcarrier_spacing_hz;
    *description = out;
    return RAN6G_OK;
}

uint32_t ran6g_multiplies_bfloat16(void) { return HAS_BFLOAT16; }

ran6g_status ran6g_process(ran6g_receiver *receiver, const ran6g_slot *slot, ran6g_output *output) {
    if (!receiver || !slot || !output) return RAN6G_NULL_POINTER;
    ran6g_receiver &r = *receiver;
    if (r.in_use.test_and_set(std::memory_order_acquire)) return RAN6G_BUSY;
    ran6g_status status = check_output(r, *output, &r.wanted);
    if (status == RAN6G_OK) status = check_slot(r, *slot, &r.grid);
    if (status != RAN6G_OK) {
        r.in_use.clear(std::memory_order_release);
        return status;
    }
    r.threads.wake();
    r.estimator->prepare(r.grid, r.estimate, r.threads);
    const Layout &s = r.layout;
    const Wanted &w = r.wanted;
    r.detects = w.symbols || w.symbol_noise || w.llr;
    const int num_blocks = r.detects || w.channel || w.error_var ? r.estimator->num_blocks() : 0;
    if (num_blocks && s.kind == Kind::soft_pilots) r.soft_pilots.refine(r.grid, r.estimate, r.detects, r.threads);
    r.threads.share(work_on_block, &r, num_blocks);
    r.threads.rest();
    double all = 0;
    for (int layer = 0; layer < MAX_LAYERS; layer++) {
        double total = 0;
        for (int i = 0; r.detects && layer < s.num_layers && i < num_blocks; i++) total += r.sums[i].of_layer[layer];
        all += total;
        output->layer_sinr_db[layer] = r.detects && layer < s.num_layers ? decibels(total / r.num_data_re) : NAN;
    }
    output->sinr_db = r.detects ? decibels(all / r.num_data_re / s.num_layers) : NAN;
    output->noise_var = r.estimate.noise_var / r.grid.factor / r.grid.factor;
    output->timing_s = static_cast<float>(r.estimate.timing_s);
    output->cfo_hz = static_cast<float>(r.estimate.cfo_hz);
    r.in_use.clear(std::memory_order_release);
    return RAN6G_OK;
}

void ran6g_destroy(ran6g_receiver *receiver) {
    if (!receiver) return;
    receiver->threads.stop();
    receiver->arena.release();
    std::free(receiver->file);
    receiver->~ran6g_receiver();
    std::free(receiver);
}

}  // extern "C"
