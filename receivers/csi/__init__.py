"""Compression and prediction of the downlink channel: what a user says of it, and what a base station makes of that."""

from __future__ import annotations

from receivers.csi.autoencoder import Autoencoder
from receivers.csi.channel_prediction import (
    LEAST_TIMES,
    LEAST_TIMES_OF_BEAMS,
    ChannelPrediction,
    autoregressive,
    autoregressive_of_beams,
)
from receivers.csi.delay_angle_coder import STEPS, DelayAngleCoder
from receivers.csi.delay_angle_model import DelayAngleModel
from receivers.csi.learned_predictor import LearnedPredictor
from receivers.csi.neural import CSI_ARCHITECTURES, NeuralCoder, indices_of, pair_of
from receivers.csi.prediction import LinearPredictor, doppler_weights, hold_last, predicted_channel
from receivers.csi.refinement import Refinement
from receivers.csi.similarity import gcs, nmse, sgcs
from receivers.csi.sparse import SparseCoder
from receivers.csi.transform import TransformCoder
from receivers.csi.transform_entropy import EntropyTransformCoder
from receivers.csi.transform_lattice import LatticeTransformCoder

__all__ = [
    "CSI_ARCHITECTURES",
    "LEAST_TIMES",
    "LEAST_TIMES_OF_BEAMS",
    "STEPS",
    "Autoencoder",
    "ChannelPrediction",
    "DelayAngleCoder",
    "DelayAngleModel",
    "EntropyTransformCoder",
    "LatticeTransformCoder",
    "LearnedPredictor",
    "LinearPredictor",
    "NeuralCoder",
    "Refinement",
    "SparseCoder",
    "TransformCoder",
    "autoregressive",
    "autoregressive_of_beams",
    "doppler_weights",
    "gcs",
    "hold_last",
    "indices_of",
    "nmse",
    "pair_of",
    "predicted_channel",
    "sgcs",
]
