"""From video and question files to the clips of a ClipSet; what the stage ingest is made of."""
