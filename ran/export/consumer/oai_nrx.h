/* Buffers of the neural receiver in the Sionna Research Kit's plugin for OpenAirInterface (contract oai-nrx).
 *
 * Engine: 24 PRB, one receive antenna, one layer, 16QAM, 13 OFDM symbols, 3 of them with DM-RS. Buffers are
 * half-precision floats (IEEE 754 binary16, here as their bits) but for the two integer inputs. Row-major, last index
 * first. LLRs: natural logarithm, positive for bit 0, below 128 in magnitude. Source: Sionna Research Kit 1.2.0.
 */
#ifndef RAN6G_OAI_NRX_H
#define RAN6G_OAI_NRX_H

#include <stdint.h>

#define OAI_NRX_NUM_PRB 24
#define OAI_NRX_NUM_SUBCARRIERS (12 * OAI_NRX_NUM_PRB)
#define OAI_NRX_NUM_SYMBOLS 13
#define OAI_NRX_NUM_DMRS_SYMBOLS 3
#define OAI_NRX_PILOTS_PER_PRB 6
#define OAI_NRX_NUM_PILOTS (OAI_NRX_PILOTS_PER_PRB * OAI_NRX_NUM_PRB * OAI_NRX_NUM_DMRS_SYMBOLS)
#define OAI_NRX_BITS_PER_SYMBOL 4

typedef uint16_t oai_nrx_half;

/* Inputs in the order of the model. Received grid and estimates are scaled by one common factor. */
typedef struct {
  oai_nrx_half rx_slot[OAI_NRX_NUM_SUBCARRIERS][OAI_NRX_NUM_SYMBOLS][1][2]; /* real, imaginary */
  oai_nrx_half h_hat[OAI_NRX_NUM_PILOTS][1][1][2];                          /* symbol-major */
  oai_nrx_half active_dmrs_ports[1];
  int32_t dmrs_ofdm_pos[1][OAI_NRX_NUM_DMRS_SYMBOLS];
  int32_t dmrs_subcarrier_pos[1][OAI_NRX_PILOTS_PER_PRB];
} oai_nrx_inputs;

typedef struct {
  oai_nrx_half output_1[OAI_NRX_BITS_PER_SYMBOL][1][OAI_NRX_NUM_SUBCARRIERS][OAI_NRX_NUM_SYMBOLS];
} oai_nrx_outputs;

/* Place of the estimate at pilot k (0 to 5) of a PRB in DM-RS symbol t. */
static inline int oai_nrx_pilot(int t, int prb, int k) {
  return (t * OAI_NRX_NUM_PRB + prb) * OAI_NRX_PILOTS_PER_PRB + k;
}

#endif
