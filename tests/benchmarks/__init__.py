"""What makes the figures; none of these tests times anything."""
