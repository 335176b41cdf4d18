"""All kinds of CSI feedback by name."""

from __future__ import annotations

from ran.studies.csi.feedback import (
    EnhancedTypeTwoFeedback,
    Feedback,
    Ideal,
    PredictedTypeTwoFeedback,
    TypeOneFeedback,
    TypeTwoFeedback,
)
from ran.studies.csi.learned_feedback import DelayAngleFeedback, NeuralFeedback, VariableDelayAngleFeedback
from ran.studies.csi.transform_feedback import SparseFeedback, TransformFeedback

FEEDBACK: dict[str, type[Feedback]] = {
    cls.name: cls
    for cls in (
        Ideal, TypeOneFeedback, TypeTwoFeedback, EnhancedTypeTwoFeedback, PredictedTypeTwoFeedback, TransformFeedback,
        SparseFeedback, NeuralFeedback, DelayAngleFeedback, VariableDelayAngleFeedback,
    )
}  # fmt: skip
