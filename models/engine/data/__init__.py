"""Images and boxes for training and prediction: every sample is a function of its key alone."""
