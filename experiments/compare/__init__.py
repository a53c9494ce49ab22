"""Two arms side by side: on one footing, with intervals, as plain data and as text."""
