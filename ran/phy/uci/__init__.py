"""Uplink control information on PUSCH: channel codes, multiplexing with the UL-SCH, and decoding."""
