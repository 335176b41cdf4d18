/* Calls libran6g_receiver with whatever a careless caller may hand over; all that it must do is return a code.
 *
 *   malformed_calls CALLS SEED MODEL...      prints how often every code came back
 *
 * Built with the address and undefined behaviour sanitizers, which end the program where memory is touched that is not
 * the caller's or the library's own. What is handed over lies in blocks of exactly the size that the interface asks for.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ran6g_receiver.h"

static uint64_t state;

static uint64_t random_bits(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint32_t below(uint32_t n) { return (uint32_t)(random_bits() >> 33) % n; }
static int one_in(uint32_t n) { return below(n) == 0; }

/* A number of any kind: usual, tiny, huge, zero, infinite or none. */
static float any_float(void) {
    uint32_t bits = (uint32_t)random_bits();
    float value;
    switch (below(8)) {
        case 0: memcpy(&value, &bits, 4); return value;
        case 1: return 0;
        case 2: return ldexpf((float)below(1000), (int)below(250) - 140);
        case 3: return one_in(2) ? NAN : -INFINITY;
        case 4: return -1e30f;
        default: return (float)(int32_t)bits * 4.6566e-10f;
    }
}

static uint32_t crc32(const unsigned char *bytes, size_t size) {
    uint32_t hash = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        hash ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) hash = hash & 1 ? 0xedb88320u ^ (hash >> 1) : hash >> 1;
    }
    return hash ^ 0xffffffffu;
}

/* Damages a copy of a model in one of several ways, and mends its checksum where that lets the damage in further. */
static size_t damage(unsigned char *model, size_t size) {
    if (one_in(6)) size = below((uint32_t)size + 1);
    if (size < 32) return size;
    if (one_in(20)) model[8]++;
    uint32_t num_arrays;
    memcpy(&num_arrays, model + 12, 4);
    uint32_t times = 1 + below(4);
    for (uint32_t i = 0; i < times; i++) {
        size_t at = one_in(2) ? below((uint32_t)size) : 32 + below(64 * (num_arrays % 64 + 1));
        /* numbers of the configuration, the first array, are of most consequence */
        if (one_in(2) && num_arrays < 64) at = 32 + 64 * num_arrays + 63 - (32 + 64 * num_arrays + 63) % 64 + below(64);
        if (at + 4 > size) continue;
        uint32_t value = (uint32_t)random_bits();
        switch (below(4)) {
            case 0: memcpy(model + at / 4 * 4, &value, 4); break;
            case 1: value = below(300); memcpy(model + at / 4 * 4, &value, 4); break;
            case 2: value = (uint32_t)-(int32_t)below(300); memcpy(model + at / 4 * 4, &value, 4); break;
            default: model[at] ^= (unsigned char)(1u << below(8));
        }
    }
    if (one_in(2)) {
        uint64_t n = size;
        memcpy(model + 16, &n, 8);
    }
    if (!one_in(4)) {
        uint64_t sum = crc32(model + 32, size - 32);
        memcpy(model + 24, &sum, 8);
    }
    return size;
}

typedef struct {
    unsigned char *bytes;
    size_t size;
    ran6g_receiver *receiver;
    ran6g_description about;
} known_model;

/* A slot and outputs for a receiver, whole or with something amiss. */
static ran6g_status call(known_model *m, int amiss) {
    const ran6g_description *a = &m->about;
    size_t res = (size_t)a->num_rx_ant * a->num_symbols * a->num_subcarriers;
    size_t num_dmrs = 2 * (size_t)a->num_layers * a->num_dmrs_symbols * a->num_dmrs_values;
    size_t num_symbols = (size_t)a->num_data_re * a->num_layers, num_llr = num_symbols * a->bits_per_symbol;
    size_t num_error = (size_t)a->num_layers * a->num_symbols * a->num_subcarriers;
    int bf16 = one_in(3);
    char *grid = malloc(res * (bf16 ? 4 : 8));
    float *dmrs = malloc(num_dmrs * 4), *channel = malloc(2 * res * a->num_layers * 4), *error = malloc(num_error * 4);
    float *symbols = malloc(num_symbols * 8), *noise = malloc(num_symbols * 4);
    char *llr = malloc(num_llr * 4);
    float level = one_in(3) ? ldexpf(1, (int)below(200) - 100) : 1;
    for (size_t i = 0; i < 2 * res; i++) {
        float value = level * (float)((int32_t)random_bits()) * 4.6566e-10f;
        if (amiss == 1 && below(2000) == 0) value = any_float();
        uint32_t bits;
        memcpy(&bits, &value, 4);
        if (bf16) {
            uint16_t half = (uint16_t)(bits >> 16);
            memcpy(grid + 2 * i, &half, 2);
        } else {
            memcpy(grid + 4 * i, &value, 4);
        }
    }
    if (one_in(20)) memset(grid, 0, res * (bf16 ? 4 : 8));
    for (size_t i = 0; i < num_dmrs; i++) {
        dmrs[i] = random_bits() & 1 ? 0.7071f : -0.7071f;
        if (amiss == 2 && below(200) == 0) dmrs[i] = any_float();
    }
    ran6g_slot slot = {sizeof slot, (uint32_t)bf16, grid, 0, 0, NULL, 0, 0.1f};
    ran6g_output output;
    memset(&output, 0, sizeof output);
    output.struct_size = sizeof output;
    if (!one_in(4)) {
        slot.dmrs = dmrs;
        slot.num_dmrs = num_dmrs;
    }
    if (one_in(2)) output.channel = channel;
    if (one_in(2)) output.error_var = error;
    if (one_in(2)) output.symbols = symbols;
    if (one_in(2)) output.symbol_noise = noise;
    if (!one_in(4)) output.llr = llr;
    switch (amiss) {
        case 3: slot.noise_var = any_float(); break;
        case 4: slot.struct_size = below(200); break;
        case 5: output.struct_size = below(200); break;
        case 6: slot.grid = NULL; break;
        case 7: slot.grid_format = (uint32_t)random_bits(); if (slot.grid_format < 2) slot.grid_format = 2; break;
        case 8: slot.num_dmrs = random_bits() >> below(64); if (slot.num_dmrs == num_dmrs) slot.num_dmrs++; break;
        case 9: slot.symbol_stride = 1 + below(a->num_subcarriers - 1); break;
        case 10: slot.antenna_stride = ((size_t)1 << 32) + 1 + (random_bits() >> 1); break;
        case 11: output.channel = (float *)((char *)channel + 1 + below(3)); break;
        case 12: output.llr = llr + 1; output.reserved = below(2); break;
        case 13: slot.grid = grid + 1; break;
        case 14: slot.symbol_stride = SIZE_MAX - below(5); break;
        default: break;
    }
    /* an odd address is no fault for soft bits that are bytes: leave them a byte */
    if (amiss == 12 && output.reserved == 0) output.llr = NULL;
    ran6g_status status =
        ran6g_process(one_in(200) ? NULL : m->receiver, one_in(200) ? NULL : &slot, one_in(200) ? NULL : &output);
    free(grid);
    free(dmrs);
    free(channel);
    free(error);
    free(symbols);
    free(noise);
    free(llr);
    return status;
}

static ran6g_status create(const known_model *m) {
    unsigned char *copy = malloc(m->size);
    memcpy(copy, m->bytes, m->size);
    size_t size = damage(copy, m->size);
    /* a block of exactly that size: reading beyond it is seen */
    unsigned char *exact = malloc(size ? size : 1);
    memcpy(exact, copy, size);
    free(copy);
    ran6g_options options;
    ran6g_default_options(&options);
    if (one_in(4)) options.num_threads = one_in(2) ? 2 : (uint32_t)random_bits();
    if (one_in(8)) options.llr_format = (uint32_t)random_bits();
    if (one_in(8)) options.llr_max = (int32_t)random_bits();
    if (one_in(8)) options.llr_scale = any_float();
    if (one_in(8)) options.struct_size = below(64);
    ran6g_receiver *receiver = (ran6g_receiver *)&options;
    known_model made = {NULL, 0, NULL, {0}};
    ran6g_status status = ran6g_create_from_memory(one_in(50) ? NULL : exact, size, one_in(3) ? NULL : &options,
                                                   one_in(100) ? NULL : &receiver);
    free(exact);
    if (status == RAN6G_OK) {
        /* damage that no check can see must still do no harm */
        made.receiver = receiver;
        made.about.struct_size = sizeof made.about;
        ran6g_describe(receiver, &made.about);
        if ((size_t)made.about.num_prb * made.about.num_rx_ant < 200) call(&made, 0);
        ran6g_destroy(receiver);
    } else if (receiver != NULL && receiver != (ran6g_receiver *)&options) {
        printf("a receiver beside code %d\n", status);
        exit(1);
    }
    return status;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    long calls = atol(argv[1]);
    state = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15ull + 1;
    int num_models = argc - 3;
    known_model *models = calloc((size_t)num_models, sizeof *models);
    for (int i = 0; i < num_models; i++) {
        FILE *file = fopen(argv[3 + i], "rb");
        if (!file) return 2;
        fseek(file, 0, SEEK_END);
        models[i].size = (size_t)ftell(file);
        rewind(file);
        models[i].bytes = malloc(models[i].size);
        if (fread(models[i].bytes, 1, models[i].size, file) != models[i].size) return 2;
        fclose(file);
        ran6g_options options;
        ran6g_default_options(&options);
        options.llr_format = (uint32_t)i % 3;
        if (ran6g_create_from_memory(models[i].bytes, models[i].size, &options, &models[i].receiver) != RAN6G_OK) return 2;
        models[i].about.struct_size = sizeof models[i].about;
        ran6g_describe(models[i].receiver, &models[i].about);
    }
    long counts[16] = {0};
    for (long i = 0; i < calls; i++) {
        known_model *m = &models[below((uint32_t)num_models)];
        ran6g_status status;
        switch (below(8)) {
            case 0:
            case 1:
            case 2: status = create(m); break;
            case 3: {
                ran6g_description about = {0};
                about.struct_size = below(200);
                status = ran6g_describe(one_in(4) ? NULL : m->receiver, one_in(4) ? NULL : &about);
                break;
            }
            case 4: {
                ran6g_receiver *receiver = NULL;
                static const char *paths[] = {"", "/", "/dev/null", "no such file", "/proc/self/mem"};
                status = ran6g_create(one_in(6) ? NULL : paths[below(5)], NULL, one_in(6) ? NULL : &receiver);
                ran6g_destroy(receiver);
                break;
            }
            default: status = call(m, (int)below(15));
        }
        if (status < 0 || status > 10 || strlen(ran6g_status_text(status)) < 3) {
            printf("code %d\n", status);
            return 1;
        }
        if (strlen(ran6g_status_text((ran6g_status)random_bits())) < 3) return 1;
        counts[status]++;
    }
    for (int i = 0; i <= 10; i++) printf("%d %ld\n", i, counts[i]);
    for (int i = 0; i < num_models; i++) {
        ran6g_destroy(models[i].receiver);
        free(models[i].bytes);
    }
    free(models);
    return 0;
}
