"""RetinaNet on Swin-T."""
