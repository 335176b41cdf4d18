/* libran6g_receiver: a PUSCH receiver behind a plain C interface.
 *
 * A receiver is created from a model file, which fixes the allocation: resource blocks, antennas, layers, DM-RS and
 * modulation. It then turns one slot after the other into a channel estimate, equalised symbols or soft bits, whichever
 * is asked for. Memory is allocated when a receiver is created and at no other time. Functions return codes and never
 * throw. Receivers are independent: threads may use different ones at the same time. Two calls on one receiver at the
 * same time are refused with RAN6G_BUSY; destroying a receiver that is in use is the caller's fault.
 *
 * LLRs: positive means bit 0, log p(0)/p(1), before descrambling. Resource elements with data count in the order of
 * TS 38.211: subcarrier first, then OFDM symbol.
 */
#ifndef RAN6G_RECEIVER_H
#define RAN6G_RECEIVER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define RAN6G_API
#else
#define RAN6G_API __attribute__((visibility("default")))
#endif

/* Version of this interface; the same number means that programs need not be built anew. */
#define RAN6G_ABI_VERSION 1

typedef struct ran6g_receiver ran6g_receiver;

typedef int32_t ran6g_status;
enum {
    RAN6G_OK = 0,
    RAN6G_NULL_POINTER = 1,   /* an argument, or a pointer inside a structure, that must be given is NULL */
    RAN6G_BAD_STRUCT = 2,     /* struct_size is not that of this version of the interface */
    RAN6G_BAD_FILE = 3,       /* the model file cannot be read, is cut off, changed, or contradicts itself */
    RAN6G_BAD_VERSION = 4,    /* the model file is of another version */
    RAN6G_BAD_OPTION = 5,     /* an option is out of its range */
    RAN6G_BAD_SIZE = 6,       /* a stride or a number of values does not fit the model */
    RAN6G_NOT_FINITE = 7,     /* the grid, the DM-RS or the noise variance holds a NaN or an infinity */
    RAN6G_BAD_VALUE = 8,      /* noise variance not above 0 where it is needed, DM-RS of value 0, a format or the
                               * alignment of a pointer that is not allowed */
    RAN6G_OUT_OF_MEMORY = 9,
    RAN6G_BUSY = 10           /* another thread is using this receiver */
};

enum { RAN6G_GRID_FLOAT32 = 0, RAN6G_GRID_BFLOAT16 = 1 };                       /* grid_format */
enum { RAN6G_LLR_FLOAT32 = 0, RAN6G_LLR_FLOAT16 = 1, RAN6G_LLR_INT8 = 2 }; /* llr_format */

/* How a receiver is to be created. Fill it with ran6g_default_options, then change what you need. */
typedef struct {
    uint32_t struct_size; /* sizeof(ran6g_options) */
    uint32_t num_threads; /* 1 to 16: threads that work on one slot, the caller's included */
    uint32_t llr_format;  /* RAN6G_LLR_... */
    int32_t llr_max;      /* 1 to 127: int8 soft bits lie between -llr_max and llr_max */
    float llr_scale;      /* above 0: int8 soft bits are LLRs times this, rounded to the nearest number, ties to even */
} ran6g_options;

/* What the model of a receiver is for, and how large its outputs are. */
typedef struct {
    uint32_t struct_size; /* sizeof(ran6g_description), filled in by the caller */
    uint32_t num_prb;
    uint32_t num_rx_ant;
    uint32_t num_layers;
    uint32_t num_symbols;     /* OFDM symbols of the slot */
    uint32_t num_subcarriers; /* 12 num_prb */
    uint32_t bits_per_symbol;
    uint32_t num_data_re;      /* resource elements with data, per layer */
    uint32_t num_dmrs_symbols;
    uint32_t num_dmrs_values;  /* pilots of one layer in one of these symbols */
    uint32_t dmrs_symbols[14]; /* their numbers */
    uint32_t needs_noise_var;  /* 1: the receiver must be told the noise variance; 0: it measures it */
    double subcarrier_spacing_hz;
} ran6g_description;

/* One slot as received. */
typedef struct {
    uint32_t struct_size; /* sizeof(ran6g_slot) */
    uint32_t grid_format; /* RAN6G_GRID_... */
    /* Real and imaginary part in turns, subcarriers next to one another. */
    const void *grid;
    size_t antenna_stride; /* from one antenna to the next, in complex values; 0: num_symbols * symbol_stride */
    size_t symbol_stride;  /* from one OFDM symbol to the next, in complex values; 0: num_subcarriers */
    /* What each layer sends on its pilots, power offset and cover code included: [layer][DM-RS symbol][pilot][2].
     * NULL: the DM-RS of the model file, those of slot 0 of the exported experiment. */
    const float *dmrs;
    size_t num_dmrs; /* floats in dmrs: num_layers * num_dmrs_symbols * num_dmrs_values * 2; 0 with NULL */
    float noise_var; /* noise variance per resource element and antenna; unused where the receiver measures it */
} ran6g_slot;

/* What is asked for. A pointer that is NULL is not wanted, and costs nothing. Sizes in numbers of the type. */
typedef struct {
    uint32_t struct_size; /* sizeof(ran6g_output) */
    uint32_t reserved;    /* 0 */
    /* Depth 1: channel [rx][layer][symbol][subcarrier][2], expected squared error of it [layer][symbol][subcarrier] */
    float *channel;
    float *error_var;
    /* Depth 2: unbiased estimates of unit-power symbols [data RE][layer][2], their noise variance [data RE][layer] */
    float *symbols;
    float *symbol_noise;
    /* Depth 3: soft bits [data RE][layer][bit] in the llr_format of the options */
    void *llr;
    /* Always filled in. */
    float noise_var;  /* noise variance per resource element and antenna that was worked with */
    float sinr_db;    /* mean over layers and data REs of the SINR after equalisation; NaN without depth 2 or 3 */
    float layer_sinr_db[4];
    float timing_s;   /* mean delay of the channel after the start of the FFT window, power-weighted over all layers */
    float cfo_hz;     /* carrier frequency offset of the first layer's user; NaN where one DM-RS symbol cannot tell it */
} ran6g_output;

RAN6G_API uint32_t ran6g_abi_version(void);

/* A sentence for a code; never NULL. */
RAN6G_API const char *ran6g_status_text(ran6g_status status);

RAN6G_API ran6g_status ran6g_default_options(ran6g_options *options);

/* options may be NULL. On failure *receiver is NULL. */
RAN6G_API ran6g_status ran6g_create(const char *path, const ran6g_options *options, ran6g_receiver **receiver);
RAN6G_API ran6g_status ran6g_create_from_memory(const void *model, size_t num_bytes, const ran6g_options *options,
                                                ran6g_receiver **receiver);

RAN6G_API ran6g_status ran6g_describe(const ran6g_receiver *receiver, ran6g_description *description);

/* What a network multiplies whose model file asks for bfloat16: 1 bfloat16, 0 float32, as this build or its processor
 * has no such instructions (AVX-512 BF16). */
RAN6G_API uint32_t ran6g_multiplies_bfloat16(void);

RAN6G_API ran6g_status ran6g_process(ran6g_receiver *receiver, const ran6g_slot *slot, ran6g_output *output);

/* NULL is allowed. */
RAN6G_API void ran6g_destroy(ran6g_receiver *receiver);

#ifdef __cplusplus
}
#endif
#endif
