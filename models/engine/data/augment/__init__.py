"""Changes of training pictures: mosaic, mixup, crops, colour, affine transforms."""
