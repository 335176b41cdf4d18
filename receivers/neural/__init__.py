"""Neural receivers: short PyTorch modules behind the same interface as the classical ones."""

#: Where every architecture is, MODULE:Class by the name that model cards and recipes use.
ARCHITECTURE_PATHS = {
    "hybrid": "receivers.neural.hybrid:HybridReceiver",
    "refined-blind": "receivers.neural.refined_blind:RefinedBlindReceiver",
    "soft-pilots": "receivers.neural.soft_pilots:SoftPilotReceiver",
    "deeprx": "receivers.neural.deeprx:DeepRxReceiver",
    "message-passing": "receivers.neural.message_passing:MessagePassingReceiver",
}
