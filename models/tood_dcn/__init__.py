"""TOOD with deformable convolution."""
