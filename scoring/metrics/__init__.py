"""The competition's mAP50 and COCO's AP, each with its compiled loops."""
