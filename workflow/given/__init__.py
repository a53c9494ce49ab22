"""What a call is given: the variables of make, read and checked."""
