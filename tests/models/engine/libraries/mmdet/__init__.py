"""Tests of models/engine/libraries/mmdet/."""
