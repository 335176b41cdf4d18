"""The contracts of exported two-sided CSI models: the user's side and the base station's, a file each."""

from __future__ import annotations

from dataclasses import replace

from receivers.onnx.contract import Contract, TensorSpec

_PRECODER = ("batch", "num_units", "num_features")
_LATENTS = ("batch", "num_latents")
_FRAME = "beams and delays in the frame of the base, real parts before imaginary parts (receivers.csi.frame)"
_OWN_FRAME = "beams and delays, real parts before imaginary parts, the strongest coefficient at delay 0 with phase 0"

CSI_ENCODER = Contract(
    name="csi-encoder",
    version=1,
    description="A precoder and what a codebook's report says of it to latents, of which a report has the first",
    inputs=(
        TensorSpec("precoder", "float32", _PRECODER, f"{_FRAME}; units turned to agree in phase with the base"),
        TensorSpec("base", "float32", _PRECODER, f"precoder of the codebook's report, {_FRAME}"),
    ),
    outputs=(TensorSpec("latents", "float32", _LATENTS, "floor(latent * levels) is the index that is reported"),),
    valid_res="none, it has no LLRs",
)
CSI_DECODER = Contract(
    name="csi-decoder",
    version=1,
    description="Levels of the latents of a report, and what the codebook's report says, to the precoder",
    inputs=(
        TensorSpec("levels", "float32", _LATENTS, "(index + 1/2) / levels; anything where not used"),
        TensorSpec("used", "float32", _LATENTS, "1 for latents that the report has, 0 for others"),
        TensorSpec("base", "float32", _PRECODER, f"precoder of the codebook's report, {_FRAME}"),
    ),
    outputs=(TensorSpec("decoded", "float32", _PRECODER, f"the precoder, {_FRAME}; norms are of no account"),),
    valid_res="none, it has no LLRs",
)
#: Of models without a codebook: the frame is that of the strongest coefficient, and there is no base.
CSI_PLAIN_ENCODER = replace(
    CSI_ENCODER,
    name="csi-plain-encoder",
    description="A precoder to latents, of which a report has the first",
    inputs=(
        TensorSpec("precoder", "float32", _PRECODER, f"{_OWN_FRAME}, as receivers.csi.frame.first_in_place has it"),
    ),
)
CSI_PLAIN_DECODER = replace(
    CSI_DECODER,
    name="csi-plain-decoder",
    description="Levels of the latents of a report to the precoder",
    inputs=CSI_DECODER.inputs[:2],
    outputs=(TensorSpec("decoded", "float32", _PRECODER, f"the precoder, {_OWN_FRAME}; norms are of no account"),),
)
_ROWS = ("rows",)
CSI_CONTEXTS = Contract(
    name="csi-contexts",
    version=1,
    description="Amplitudes around a quantised coefficient to its distribution; both sides have to run the same file",
    inputs=(
        TensorSpec("features", "float32", ("rows", "num_features"), "receivers.csi.entropy_model.ContextModel.context"),
        TensorSpec("positions", "int32", _ROWS, "(delay * groups + group) * n1 + column of the coefficient"),
    ),
    outputs=(
        TensorSpec(
            "said", "float32", ("rows", "num_outputs"), "logits, log scales, gains of neighbours: real, imaginary"
        ),
    ),
    valid_res="none, it has no LLRs",
)
CSI_RESTORATION = Contract(
    name="csi-restoration",
    version=1,
    description="Amplitudes around quantised coefficients to the gains with which these are restored",
    inputs=(
        TensorSpec(
            "features",
            "float32",
            ("batch", "num_units", "groups", "n1", "num_features"),
            "receivers.csi.entropy_model.Restoration.forward",
        ),
    ),
    outputs=(
        TensorSpec("gains", "float32", ("batch", "num_units", "groups", "n1", "num_outputs"), "real, then imaginary"),
    ),
    valid_res="none, it has no LLRs",
)
CSI_PREDICTOR = Contract(
    name="csi-predictor",
    version=1,
    description="Correlations over the lag of a beam and delay to the weights of a filter over time",
    inputs=(
        TensorSpec(
            "features", "float32", ("rows", "num_features"), "of receivers.csi.channel_prediction.ChannelPrediction"
        ),
    ),
    outputs=(
        TensorSpec("weights", "float32", ("rows", "num_outputs"), "of the estimates and filters: real, then imaginary"),
    ),
    valid_res="none, it has no LLRs",
)
