"""From a recipe and the user's options to one complete, checked configuration."""
