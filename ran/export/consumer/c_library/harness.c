/* Runs libran6g_receiver on its test vectors: checks what comes out, then measures the time of a slot.
 *
 *   ./harness MODEL VECTORS [slots] [threads]        default 10000 slots, 1 thread
 *
 * Prints P50, P99, P99.9 and the least time of a slot for each depth of output. Exit status 0: soft bits are those
 * expected, as int8 within one step, or as many as the vectors allow. 1: they are not. 2: it did not run.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ran6g_receiver.h"

static void fail(const char *what, const char *which) {
    fprintf(stderr, "harness: %s %s\n", what, which);
    exit(2);
}

static void check(ran6g_status status, const char *what) {
    if (status != RAN6G_OK) fail(what, ran6g_status_text(status));
}

/* A tensor of the vectors, by its line in manifest.txt: input|output, name, dtype, file, sizes. */
static void *tensor(const char *folder, const char *name, size_t *num_bytes) {
    char path[4096], line[4096], kind[64], found[64], dtype[64], file[1024];
    snprintf(path, sizeof path, "%s/manifest.txt", folder);
    FILE *manifest = fopen(path, "r");
    if (!manifest) fail("there is no", path);
    void *bytes = NULL;
    while (!bytes && fgets(line, sizeof line, manifest)) {
        if (sscanf(line, "%63s %63s %63s %1023s", kind, found, dtype, file) != 4 || strcmp(found, name) != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, file);
        FILE *raw = fopen(path, "rb");
        if (!raw) fail("there is no", path);
        fseek(raw, 0, SEEK_END);
        *num_bytes = (size_t)ftell(raw);
        rewind(raw);
        bytes = malloc(*num_bytes + 1);
        if (!bytes || fread(bytes, 1, *num_bytes, raw) != *num_bytes) fail("cannot read", path);
        fclose(raw);
    }
    fclose(manifest);
    if (!bytes) fail("the manifest has no", name);
    return bytes;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t n, double q) {
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: harness MODEL VECTORS [slots] [threads]\n");
        return 2;
    }
    long asked = argc > 3 ? atol(argv[3]) : 10000, threads = argc > 4 ? atol(argv[4]) : 1;
    if (asked < 1 || asked > 100000000) fail("slots: allowed: 1 to 100000000, not", argv[3]);
    size_t num_slots = (size_t)asked;
    ran6g_options options;
    check(ran6g_default_options(&options), "options:");
    options.num_threads = (uint32_t)threads;
    options.llr_format = RAN6G_LLR_INT8;
    ran6g_receiver *receiver;
    check(ran6g_create(argv[1], &options, &receiver), argv[1]);
    ran6g_description about = {.struct_size = sizeof about};
    check(ran6g_describe(receiver, &about), "describe:");

    size_t grid_bytes, noise_bytes, dmrs_bytes, llr_bytes, steps_bytes;
    const char *grids = tensor(argv[2], "grid", &grid_bytes);
    const float *noise = tensor(argv[2], "noise_var", &noise_bytes);
    const float *dmrs = tensor(argv[2], "dmrs", &dmrs_bytes);
    const float *expected = tensor(argv[2], "llr", &llr_bytes);
    const uint32_t *most_steps = tensor(argv[2], "most_steps", &steps_bytes);
    const size_t res = (size_t)about.num_rx_ant * about.num_symbols * about.num_subcarriers;
    const size_t num_llr = (size_t)about.num_data_re * about.num_layers * about.bits_per_symbol;
    const size_t vectors = noise_bytes / sizeof(float);
    if (grid_bytes != vectors * res * 8 || llr_bytes != vectors * num_llr * 4 || steps_bytes != 4)
        fail("vectors do not fit", argv[1]);

    ran6g_slot slot = {.struct_size = sizeof slot, .grid_format = RAN6G_GRID_FLOAT32};
    slot.dmrs = dmrs;
    slot.num_dmrs = dmrs_bytes / sizeof(float);
    int8_t *llr = malloc(num_llr);
    float *symbols = malloc(8 * (size_t)about.num_data_re * about.num_layers);
    float *symbol_noise = malloc(4 * (size_t)about.num_data_re * about.num_layers);
    float *channel = malloc(8 * res * about.num_layers);
    float *error = malloc(4 * (size_t)about.num_layers * about.num_symbols * about.num_subcarriers);
    double *seconds = malloc(num_slots * sizeof(double));
    if (!llr || !symbols || !symbol_noise || !channel || !error || !seconds) fail("no memory for", "outputs");

    ran6g_output output = {.struct_size = sizeof output};
    int worst = 0;
    size_t apart = 0;
    for (size_t v = 0; v < vectors; v++) {
        slot.grid = grids + v * res * 8;
        slot.noise_var = noise[v];
        output.llr = llr;
        check(ran6g_process(receiver, &slot, &output), "process:");
        for (size_t i = 0; i < num_llr; i++) {
            float scaled = expected[v * num_llr + i] * options.llr_scale;
            float bounded = scaled > 127 ? 127 : scaled < -127 ? -127 : rintf(scaled);
            int difference = abs((int)bounded - llr[i]);
            apart += difference != 0;
            worst = difference > worst ? difference : worst;
        }
    }
    printf("%u PRB, %u antennas, %u layers, %u bits per symbol, %ld threads: %zu of %zu int8 soft bits differ, by %d at "
           "most; last slot: SINR %.2f dB, timing %.1f ns, CFO %.1f Hz\n",
           about.num_prb, about.num_rx_ant, about.num_layers, about.bits_per_symbol, threads, apart, vectors * num_llr,
           worst, output.sinr_db, output.timing_s * 1e9, output.cfo_hz);

    static const char *depths[] = {"channel", "symbols", "soft bits"};
    for (int depth = 0; depth < 3; depth++) {
        memset(&output, 0, sizeof output);
        output.struct_size = sizeof output;
        if (depth == 0) {
            output.channel = channel;
            output.error_var = error;
        } else if (depth == 1) {
            output.symbols = symbols;
            output.symbol_noise = symbol_noise;
        } else {
            output.llr = llr;
        }
        for (size_t i = 0; i < num_slots + 100; i++) {
            slot.grid = grids + i % vectors * res * 8;
            slot.noise_var = noise[i % vectors];
            double started = now();
            ran6g_status status = ran6g_process(receiver, &slot, &output);
            double stopped = now();
            check(status, "process:");
            if (i >= 100) seconds[i - 100] = stopped - started;
        }
        qsort(seconds, num_slots, sizeof(double), ascending);
        printf("%-9s P50 %.1f us, P99 %.1f us, P99.9 %.1f us, least %.1f us, over %zu slots\n", depths[depth],
               1e6 * quantile(seconds, num_slots, 0.5), 1e6 * quantile(seconds, num_slots, 0.99),
               1e6 * quantile(seconds, num_slots, 0.999), 1e6 * seconds[0], num_slots);
    }
    ran6g_destroy(receiver);
    return worst > (int)*most_steps;
}
