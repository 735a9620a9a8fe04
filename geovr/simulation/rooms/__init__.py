"""Furnished rooms: furniture, layout, walk, rendering and questions of the preset `rooms`."""
