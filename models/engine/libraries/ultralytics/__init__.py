"""YOLO11 through ultralytics (AGPL-3.0), which only `process.py` imports, in its own process."""
