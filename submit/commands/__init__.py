"""The commands of `submit`, by what they are about."""
