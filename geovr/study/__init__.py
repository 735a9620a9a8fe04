"""Studies: arms times seeds through the normal stages, and what they show."""
