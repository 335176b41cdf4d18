"""Recorded signals: from files of several formats to slots, and from slots to transport blocks."""
