/* Counts what libran6g_receiver allocates and frees while it processes slots: nothing.
 *
 *   no_allocation MODEL...      prints "created COUNT" and "processed COUNT", calls of the allocator in each phase
 *
 * The functions below take the place of the C library's for the whole process, the receiver's library included.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ran6g_receiver.h"

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static volatile long calls;

void *malloc(size_t size) { calls++; return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { calls++; return __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { calls++; return __libc_realloc(old, size); }
void *aligned_alloc(size_t to, size_t size) { calls++; return __libc_memalign(to, size); }
void *memalign(size_t to, size_t size) { calls++; return __libc_memalign(to, size); }
void free(void *block) { calls++; __libc_free(block); }

int main(int argc, char **argv) {
    long created = 0, processed = 0;
    for (int i = 1; i < argc; i++) {
        ran6g_options options;
        ran6g_default_options(&options);
        options.num_threads = 2;
        ran6g_receiver *receiver;
        long before = calls;
        if (ran6g_create(argv[i], &options, &receiver) != RAN6G_OK) return 2;
        created += calls - before;
        ran6g_description about = {.struct_size = sizeof about};
        if (ran6g_describe(receiver, &about) != RAN6G_OK) return 2;
        size_t res = (size_t)about.num_rx_ant * about.num_symbols * about.num_subcarriers;
        size_t data = (size_t)about.num_data_re * about.num_layers;
        float *grid = malloc(8 * res), *channel = malloc(8 * res * about.num_layers), *error = malloc(4 * res * 4);
        float *symbols = malloc(8 * data), *noise = malloc(4 * data);
        void *llr = malloc(data * about.bits_per_symbol);
        ran6g_slot slot = {.struct_size = sizeof slot, .grid = grid, .noise_var = 0.1f};
        ran6g_output output = {.struct_size = sizeof output};
        output.channel = channel;
        output.error_var = error;
        output.symbols = symbols;
        output.symbol_noise = noise;
        output.llr = llr;
        for (int n = 0; n < 20; n++) {
            for (size_t k = 0; k < 2 * res; k++) grid[k] = n == 0 ? 0 : (float)(rand() % 2001 - 1000) * 1e-3f;
            before = calls;
            if (ran6g_process(receiver, &slot, &output) != RAN6G_OK) return 2;
            processed += calls - before;
        }
        ran6g_destroy(receiver);
        free(grid);
        free(channel);
        free(error);
        free(symbols);
        free(noise);
        free(llr);
    }
    printf("created %ld\nprocessed %ld\n", created, processed);
    return processed != 0;
}
