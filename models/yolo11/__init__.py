"""YOLO11 through ultralytics."""
