"""Kills, mutated inputs and faults of the machine, thrown at every command of the kit."""
