"""The greatest numbers that options take: beyond them lies a typing error, not a wish.

Taken at its word, such a number ends in memory that runs out, or in a machine that does not answer.
"""

MOST_SAMPLES = 10_000  # of a bootstrap, each with a count for every image
MOST_PROCESSES = 256  # or threads, on one machine
MOST_PICTURES = 4_096  # in a batch
MOST_ROUNDS = 100_000  # of anything that is done again and again: epochs, trials, seeds
MOST_ITEMS = 10_000_000  # images, boxes of an image
LONGEST_SIDE = 16_384  # pixels of a picture that is drawn
LAST_SEED = 2**32 - 1
