"""What the options of all command lines share: the result as JSON, and names that changed."""
