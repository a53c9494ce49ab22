"""COCO files as other tools write them, turned into files that every command reads."""
