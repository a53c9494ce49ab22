"""SSD on VGG-16."""
