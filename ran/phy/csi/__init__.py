"""Channel state information of the downlink: subbands, codebooks with their reports bit by bit, CQI and CSI-RS.

Pure functions of arrays and a configuration, in numpy; nothing here knows a channel model or a receiver.

Precoders are complex [num_layers, num_units, num_ports] (a leading batch axis where said so): one unit-norm vector per
layer and PMI unit (`ran.phy.csi.subbands`); ports polarisation by polarisation, in each column by column from the
bottom
up (TS 38.214 §5.2.2.2.1).
"""
