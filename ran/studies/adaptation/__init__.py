"""Link adaptation: from the SINR of a slot to an MCS, and what that is worth in throughput."""
