"""COCO annotation files: read, checked, described; and whose dataset a work folder holds."""
