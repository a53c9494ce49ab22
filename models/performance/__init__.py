"""Faster equivalents of what mmdet does around the network: equal results, fewer small steps."""
