"""Tests of models/engine/libraries/ultralytics/."""
