"""Conversions of annotations and predictions between COCO and other formats."""
