"""The base-station performance requirements of TS 38.104, run as a test."""
